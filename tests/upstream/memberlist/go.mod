module member

go 1.23

require github.com/hashicorp/memberlist v0.5.1
