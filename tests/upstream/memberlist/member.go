// A member of a cluster by HashiCorp's own library, configured as MetalLB's speaker does it, driven by lines on standard
// input: join ADDRESS, members, leave, health. Answers each with one line of JSON.
package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/memberlist"
)

type options struct {
	Name            string
	Host            string
	Port            int
	Secret          string
	Label           string
	Compression     bool
	ProtocolVersion uint8
	Meta            string
}

type delegate struct{ meta string }

func (d delegate) NodeMeta(int) []byte             { return []byte(d.meta) }
func (delegate) NotifyMsg([]byte)                  {}
func (delegate) GetBroadcasts(int, int) [][]byte   { return nil }
func (delegate) LocalState(bool) []byte            { return []byte("some state of the user's") }
func (delegate) MergeRemoteState(_ []byte, _ bool) {}

func answer(value any) {
	text, _ := json.Marshal(value)
	fmt.Println(string(text))
}

func main() {
	var o options
	if err := json.Unmarshal([]byte(os.Args[1]), &o); err != nil {
		panic(err)
	}
	config := memberlist.DefaultLocalConfig()
	config.Name = o.Name
	config.BindAddr = o.Host
	config.BindPort = o.Port
	config.AdvertisePort = o.Port
	config.Label = o.Label
	config.EnableCompression = o.Compression
	config.ProtocolVersion = o.ProtocolVersion
	config.Delegate = delegate{o.Meta}
	if o.Secret != "" {
		config.SecretKey = sha256.New().Sum([]byte(o.Secret))[:32]
	}
	list, err := memberlist.Create(config)
	if err != nil {
		panic(err)
	}
	answer("ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		switch words[0] {
		case "join":
			count, err := list.Join(words[1:])
			if err != nil {
				answer(map[string]any{"joined": count, "error": err.Error()})
			} else {
				answer(map[string]any{"joined": count})
			}
		case "members":
			members := map[string]string{}
			for _, node := range list.Members() {
				members[node.Name] = string(node.Meta)
			}
			answer(members)
		case "health":
			answer(list.GetHealthScore())
		case "leave":
			if err := list.Leave(time.Second); err != nil {
				answer(err.Error())
			} else {
				answer("left")
			}
		}
	}
}
