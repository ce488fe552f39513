// Loaded before a unit test that runs beside system tests: those measure how soon things happen, so they come first.
import { setPriority } from 'node:os';

setPriority(5);
