// Runs before every test file (bunfig.toml): a test that leaves a process or a connection behind fails.

import { afterAll, afterEach, beforeEach } from "bun:test";

import { fileEnds, testBegins, testEnds } from "./leaks.ts";

beforeEach(testBegins);
afterEach(testEnds);
afterAll(fileEnds);
