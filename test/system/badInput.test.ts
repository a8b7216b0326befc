/**
 * Real agents told, sent and given what is wrong by people, programs and disks: each mistake is answered with what, where
 * and what would be right, is counted, and costs nobody else anything.
 */
import { assert, describe, it } from "@effect/vitest"
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import process from "node:process"
import { gzipSync } from "node:zlib"
import { type Answer, start } from "./harness.ts"
import {
  agent,
  ask,
  type Asked,
  assertEnds,
  at,
  counting,
  type Ended,
  freePort,
  type Given,
  guardFleet,
  json,
  member,
  problemOf,
  silentServer,
  starling
} from "./wrongs.ts"

guardFleet()

describe("an agent told wrong things", () => {
  it("ends with 5 and names key, value, source and what would be right for each wrong flag, variable and line of TOML", async () => {
    const broken = at("broken.toml")
    writeFileSync(broken, "name = [\n")
    const wrong = at("wrong.toml")
    writeFileSync(wrong, 'debug = "maybe"\ngosip = "127.0.0.1:1"\nlog-format = "xml"\n')
    const cases: ReadonlyArray<readonly [string, ReadonlyArray<string>, Given, ReadonlyArray<string>]> = [
      ["an unknown flag", ["--gosip", "x"], {}, ["--gosip", "--gossip"]],
      ["a flag without its value", ["--gossip"], {}, ["--gossip", "HOST:PORT"]],
      [
        "wrong values of flags",
        ["--gossip", "nine", "--log-level", "loud", "--join", "127.0.0.1:0", "--label", "nope", "--name", "a b"],
        {},
        [
          '--gossip: "nine": expected host:port, like 127.0.0.1:7740',
          '--log-level: "loud": expected one of trace, debug',
          "--join: ",
          "port 0 cannot be dialled",
          "--label: ",
          "expected KEY=VALUE",
          '--name: "a b": expected 1 to 63'
        ]
      ],
      [
        "addresses that are open to others, or nobody can dial",
        ["--gossip", "0.0.0.0:7740", "--otlp", "10.0.0.1:4318"],
        {},
        ["--gossip", "not loopback", "join the fleet", "--insecure", "--otlp", "--advertise"]
      ],
      [
        "variables",
        [],
        { env: { STARLING_GOSIP: "x", STARLING_DATACENTER: "a b", STARLING_DEBUG: "perhaps" } },
        [
          "STARLING_GOSIP",
          "did you mean STARLING_GOSSIP?",
          'STARLING_DATACENTER: "a b": expected 1 to 63',
          'STARLING_DEBUG: "perhaps": expected true or false'
        ]
      ],
      [
        "a file with wrong keys and values",
        ["--config", wrong],
        {},
        [
          `gosip (${wrong}): "127.0.0.1:1": unknown key; did you mean gossip?`,
          `debug (${wrong}): "maybe": expected true or false`,
          `log-format (${wrong}): "xml": expected one of pretty, json`
        ]
      ],
      ["a file that is no TOML", ["--config", broken], {}, [broken, "no TOML", "line 2"]],
      [
        "a file that is not there",
        [],
        { env: { STARLING_CONFIG: at("none.toml") } },
        ["STARLING_CONFIG", "no such file"]
      ]
    ]
    const ended = await Promise.all(cases.map(([, args, given]) => starling(["agent", ...args], given)))
    cases.forEach(([what, , , says], index) => assertEnds(what, ended[index] as Ended, 5, says))
  })

  it("ends with 1 and names the flag and the address when a port is in use", async () => {
    const { address } = await silentServer()
    const keys = ["gossip", "api", "otlp"]
    const ended = await Promise.all(keys.map((key) => agent(`busy-${key}`, { [key]: address })))
    keys.forEach((key, index) =>
      assertEnds(key, ended[index] as Ended, 1, [`--${key}`, `cannot listen on ${address}`, "another p"])
    )
  })

  it("a question to an agent that is not there ends with 7, names the URL, and says what to start", async () => {
    const url = `http://127.0.0.1:${await freePort()}`
    const ended = await Promise.all(
      [["status"], ["nodes", "--json"], ["config", "set", "k", "v"]].map((args) => starling([...args, "--api", url]))
    )
    for (const each of ended) {
      assertEnds("question", each, 7, [`no agent answers at ${url}`, "starling agent", "--api URL", "STARLING_API"])
    }
  })
})

describe("a data directory that cannot be used", () => {
  it("keeps a second process out of a directory in use, with the pid of the first", async () => {
    const ended = await agent("a1-again", { data: member(0).data })
    assertEnds("locked", ended, 1, [
      `the data directory ${member(0).data} is in use by process ${member(0).process.pid}`,
      "a data directory of its own"
    ])
  })

  it("ends with 1 and names the path when it is no directory or may not be written", async () => {
    writeFileSync(at("a-file"), "")
    // The superuser may write everywhere, so under it the agent runs as somebody else, below a folder open to all.
    const isRoot = process.getuid?.() === 0
    chmodSync(at("."), 0o755)
    mkdirSync(at("forbidden"), { mode: 0o555 })
    mkdirSync(at("read-only"), { mode: 0o755 })
    writeFileSync(at("read-only/lock"), "")
    if (!isRoot) chmodSync(at("read-only"), 0o555)
    const nobody = isRoot ? { uid: 65_534 } : {}
    const [file, below, forbidden, readOnly, noFileSystem] = await Promise.all([
      agent("f", { data: at("a-file") }),
      agent("f", { data: at("a-file/below") }),
      agent("f", { data: at("forbidden/data") }, nobody),
      agent("f", { data: at("read-only") }, nobody),
      agent("f", { data: "/proc/starling/data" })
    ])
    assertEnds("a file", file, 1, [at("a-file"), "There is a file where the directory should be"])
    assertEnds("below a file", below, 1, [at("a-file/below"), "There is a file where the directory should be"])
    assertEnds("forbidden", forbidden, 1, [at("forbidden/data"), "EACCES", "a directory that this user may write in"])
    assertEnds("read-only", readOnly, 1, [at("read-only"), "a directory that this user may write in"])
    assertEnds("no place for files", noFileSystem, 1, [
      "/proc/starling/data",
      "a directory that this user may write in"
    ])
  })

  it("puts a damaged database aside, says so aloud, and begins anew as another node", async () => {
    const before = await start({ name: "d1", data: at("d1") })
    await before.send("PUT", "/v1/config/kept", { value: "1" })
    await before.kill("SIGKILL")
    for (const end of ["", "-wal"]) writeFileSync(at(`d1/state.db${end}`), Buffer.alloc(20_000, "not a database "))
    const after = await start({ name: "d1", data: at("d1") })
    try {
      assert.include(after.stderr(), "ERROR")
      assert.include(after.stderr(), "The stored state was damaged")
      assert.include(after.stderr(), at("d1/state.db.damaged-1"))
      assert.isTrue(existsSync(at("d1/state.db.damaged-1")))
      assert.match(after.id, /^[0-9a-f]{12}$/)
      assert.notStrictEqual(after.id, before.id)
      assert.strictEqual((await fetch(`${after.api}/readyz`)).status, 200)
    } finally {
      await after.kill()
    }
    assert.include(readdirSync(at("d1")), "state.db.damaged-1")
  })
})

describe("OTLP that cannot be taken", () => {
  const good = JSON.stringify({
    resourceMetrics: [
      {
        resource: { attributes: [{ key: "service.name", value: { stringValue: "shop" } }] },
        scopeMetrics: [{ metrics: [{ name: "n", sum: { dataPoints: [{ asInt: "1" }] } }] }]
      }
    ]
  })
  const protobuf = { "content-type": "application/x-protobuf" }
  const metrics = () => `${member(0).otlp}/v1/metrics`

  it("malformed JSON and protobuf are a 400 that says why, counted, and the next good request is taken", async () => {
    const cases: ReadonlyArray<readonly [Readonly<Record<string, string>>, string | Uint8Array]> = [
      [json, "{"],
      [json, ""],
      [json, '{"resourceMetrics": 3}'],
      [json, new Uint8Array([0x22, 0xff, 0x22])],
      [protobuf, new Uint8Array([0x0a, 0xff])],
      [protobuf, new TextEncoder().encode("this is no protobuf")],
      [{ ...json, "content-encoding": "gzip" }, "not gzip"]
    ]
    const [malformed] = await counting(member(0), ["otlp_refused_malformed_total"], async () => {
      for (const [headers, body] of cases) {
        const { body: said, status } = await ask(metrics(), "POST", headers, body)
        assert.strictEqual(status, 400, said)
        assert.match(said, /malformed metrics request: \w|the body cannot be read: \w/)
        assert.strictEqual((await ask(metrics(), "POST", json, good)).status, 200)
      }
    })
    assert.strictEqual(malformed, cases.length)
  })

  it("another media type is a 415 that names what is taken, and counted", async () => {
    const [refused] = await counting(member(0), ["otlp_refused_media_type_total"], async () => {
      const text = await ask(metrics(), "POST", { "content-type": "text/plain" }, good)
      assert.strictEqual(text.status, 415)
      assert.include(text.body, "application/x-protobuf")
      const zstd = await ask(metrics(), "POST", { ...json, "content-encoding": "zstd" }, good)
      assert.strictEqual(zstd.status, 415)
      assert.include(zstd.body, "gzip")
    })
    assert.strictEqual(refused, 2)
  })

  it("a huge body and a gzip bomb are a 413 that names the limit, counted, and leave the agent small", async () => {
    // Only Linux says it in a file; elsewhere the answers alone are looked at.
    const file = `/proc/${member(0).process.pid}/status`
    const resident = () =>
      existsSync(file) ? Number(/VmRSS:\s+(\d+)/.exec(readFileSync(file, "utf8"))?.[1] ?? 0) / 1024 : 0
    const before = resident()
    const bomb = gzipSync(Buffer.alloc(256 * 1024 * 1024, " "))
    const limit = String(16 * 1024 * 1024)
    const [large] = await counting(member(0), ["otlp_refused_too_large_total"], async () => {
      const answers = [
        await ask(metrics(), "POST", json, Buffer.alloc(17 * 1024 * 1024, " ")),
        await ask(metrics(), "POST", { ...json, "content-encoding": "gzip" }, bomb),
        await ask(metrics(), "POST", { ...protobuf, "content-encoding": "gzip" }, bomb)
      ]
      for (const { body, status } of answers) {
        assert.strictEqual(status, 413)
        assert.include(body, limit)
      }
    })
    assert.strictEqual(large, 3)
    assert.isBelow(resident() - before, 200, "MiB more than before")
    assert.strictEqual((await ask(metrics(), "POST", json, good)).status, 200)
  })
})

describe("the API given what it cannot take", () => {
  const put = (key: string, body: unknown) =>
    ask(`${member(0).api}/v1/config/${encodeURIComponent(key)}`, "PUT", json, JSON.stringify(body))

  it("a key or value over its limit is a 400 that names key, limit and what would be right; nothing is stored", async () => {
    const cases: ReadonlyArray<readonly [string, unknown, string]> = [
      ["K".repeat(3), { value: "1" }, "is no key"],
      ["k".repeat(256), { value: "1" }, "at most 255"],
      ["a//b", { value: "1" }, "in segments separated by /"],
      ["k", { value: "v".repeat(64 * 1024 + 1) }, "65537 bytes, at most 65536"],
      ["k", { value: "é".repeat(32 * 1024 + 1) }, "65538 bytes, at most 65536"],
      ["k", { value: 3 }, "value"],
      ["k", { value: "1", note: "n".repeat(1025) }, "1024"],
      ["k", { value: "1", selector: "a in (" }, "selector"]
    ]
    const [refused] = await counting(member(0), ["api_refused_input_total"], async () => {
      for (const [key, body, says] of cases) {
        const answer = await put(key, body)
        assert.strictEqual(answer.status, 400, answer.body)
        const { detail, type } = problemOf(answer)
        assert.strictEqual(type, "urn:starling:problem:invalid-input")
        assert.include(detail, says)
      }
    })
    assert.strictEqual(refused, cases.length)
    assert.deepStrictEqual((await member(1).get<Answer<unknown>>("/v1/config")).items, [])
    const accepted = await put("k".repeat(255), { value: "v".repeat(64 * 1024) })
    assert.strictEqual(accepted.status, 200, accepted.body)
  })

  it("the command line says the same of a key, value or selector, with 5, and stores nothing", async () => {
    const set = (...args: ReadonlyArray<string>) => starling(["config", "set", ...args, "--api", member(0).api])
    const [key, value, selector] = await Promise.all([
      set("K", "v"),
      set("k", "v".repeat(64 * 1024 + 1)),
      set("k", "v", "-l", "a in (")
    ])
    assertEnds("key", key, 5, ['"K" is no key', "at most 255 of a-z 0-9"])
    assertEnds("value", value, 5, ["value: 65537 bytes, at most 65536 are accepted"])
    assertEnds("selector", selector, 5, ["selector", "column 7"])
  })

  it("a body over 1 MiB is a 413, one that is no JSON a 400, one of another media type a 415, each counted", async () => {
    const url = `${member(0).api}/v1/config/k`
    const counted = await counting(
      member(0),
      ["api_refused_too_large_total", "api_refused_input_total", "api_refused_media_type_total"],
      async () => {
        const large = await ask(url, "PUT", json, JSON.stringify({ value: "v".repeat(2 * 1024 * 1024) }))
        assert.strictEqual(large.status, 413, large.body)
        assert.include(problemOf(large).detail, "1 MiB")
        const broken = await ask(url, "PUT", json, "{")
        assert.strictEqual(broken.status, 400, broken.body)
        const text = await ask(url, "PUT", { "content-type": "text/plain" }, "{}")
        assert.strictEqual(text.status, 415, text.body)
        assert.include(problemOf(text).detail, "application/json")
      }
    )
    assert.deepStrictEqual(counted, [1, 1, 1])
  })

  it("a browser page of another origin, or with a name made to point here, is a 403 everywhere, and counted", async () => {
    const { api, otlp } = member(0)
    const event = JSON.stringify({ body: "from a page" })
    const page = { origin: "https://evil.example" }
    const rebound = { host: `evil.example:${new URL(api).port}` }
    const counted = await counting(
      member(0),
      ["api_refused_origin_total", "api_refused_host_total", "otlp_refused_origin_total"],
      async () => {
        const cases: ReadonlyArray<readonly [Promise<Asked>, string]> = [
          [ask(`${api}/v1/events`, "POST", { ...json, ...page }, event), "https://evil.example"],
          [ask(`${api}/v1/events`, "POST", { ...json, origin: "null" }, event), "null"],
          [ask(`${api}/v1/nodes`, "GET", page), "https://evil.example"],
          [ask(`${api}/v1/events`, "POST", { ...json, ...rebound }, event), "evil.example"],
          [ask(`${api}/v1/nodes`, "GET", rebound), "evil.example"],
          [ask(`${otlp}/v1/metrics`, "POST", { ...json, ...page }, "{}"), "https://evil.example"]
        ]
        for (const [asking, named] of cases) {
          const { body, status } = await asking
          assert.strictEqual(status, 403, body)
          assert.include(body, named)
        }
      }
    )
    assert.deepStrictEqual(counted, [3, 2, 1])
    const { items } = await member(0).get<Answer<{ readonly body: string }>>("/v1/events")
    assert.notInclude(
      items.map(({ body }) => body),
      "from a page"
    )
  })

  it("/metrics is Prometheus text in which every family has help and type once, and no name says total twice", async () => {
    const response = await fetch(`${member(0).api}/metrics`)
    assert.include(response.headers.get("content-type"), "text/plain; version=0.0.4")
    const lines = (await response.text()).trimEnd().split("\n")
    const names = lines.filter((line) => line.startsWith("# TYPE ")).map((line) => line.split(" ")[2] ?? "")
    assert.strictEqual(new Set(names).size, names.length)
    assert.deepStrictEqual(
      names.filter((name) => name.endsWith("_total_total")),
      []
    )
    for (const line of lines)
      assert.match(line, /^(# (HELP|TYPE) starling_\w+ .+|starling_\w+(\{.*\})? -?\d+(\.\d+)?)$/)
  })
})
