import { assert, describe, it } from "@effect/vitest"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { AgentConfig } from "@starling/platform-node"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Result from "effect/Result"
import * as fc from "fast-check"

const host: AgentConfig.Host = { hostname: "edge-1", dataHome: "/home/u/.local/share", separator: "/" }
const sources = (given: Partial<AgentConfig.Sources>): AgentConfig.Sources => ({
  flags: {},
  environment: {},
  host,
  ...given
})
const right = (given: Partial<AgentConfig.Sources>): AgentConfig.Effective => {
  const resolved = AgentConfig.resolve(sources(given))
  if (Result.isFailure(resolved)) throw resolved.failure
  return resolved.success
}
const wrong = (given: Partial<AgentConfig.Sources>): ReadonlyArray<AgentConfig.Issue> => {
  const resolved = AgentConfig.resolve(sources(given))
  return Result.isFailure(resolved) ? resolved.failure.issues : []
}
const message = (given: Partial<AgentConfig.Sources>): string => wrong(given).map(AgentConfig.formatIssue).join("\n")

/** For each key, two right values in the form that text sources have. */
const values: Readonly<Record<AgentConfig.Key, readonly [string, string, string]>> = {
  name: ["a", "b", "c"],
  datacenter: ["d1", "d2", "d3"],
  fleet: ["f1", "f2", "f3"],
  label: ["role=edge", "role=core", "zone=z1"],
  gossip: ["127.0.0.1:1", "127.0.0.1:2", "[::1]:3"],
  advertise: ["h1.example:1", "h2.example:1", "h3.example:1"],
  api: ["127.0.0.1:11", "127.0.0.1:12", "localhost:13"],
  otlp: ["127.0.0.1:21", "127.0.0.1:22", "off"],
  join: ["h1.example:1", "h2.example:1", "h3.example:1"],
  data: ["/d1", "/d2", "/d3"],
  "log-level": ["trace", "warn", "error"],
  "log-format": ["json", "json", "pretty"],
  insecure: ["true", "false", "true"],
  debug: ["true", "false", "true"],
  "clock-source": ["own", "fleet", "own"],
  "clock-policy": ["accept", "refuse", "accept"],
  "clock-mode": ["counter", "population", "counter"],
  "clock-offset": ["0s", "0ms", "0h"]
}

describe("the configuration of an agent", () => {
  it("is complete without a word", () => {
    const { config, settings } = right({})
    assert.deepStrictEqual(config, {
      name: "edge-1",
      datacenter: "default",
      fleet: "starling",
      labels: {},
      gossip: "127.0.0.1:7740",
      advertise: undefined,
      api: "127.0.0.1:7741",
      otlp: "127.0.0.1:4318",
      join: [],
      data: "/home/u/.local/share/starling/starling/edge-1",
      logLevel: "info",
      logFormat: "pretty",
      insecure: false,
      debug: false,
      clockSource: "fleet",
      clockPolicy: "refuse",
      clockMode: "population",
      clockOffsetMs: 0,
      apply: []
    })
    assert.deepStrictEqual(
      settings.map(({ key, source }) => [key, source]),
      [...AgentConfig.keys, "apply"].map((key) => [key, "default"])
    )
  })

  it("prefers a flag to a variable, a variable to the file, the file to the default, for every key alone", () => {
    const given = fc.record(
      Object.fromEntries(
        AgentConfig.keys.map((key) => [
          key,
          fc.record({ flag: fc.boolean(), variable: fc.boolean(), file: fc.boolean() })
        ])
      )
    )
    fc.assert(
      fc.property(given, (which) => {
        const flags: Record<string, unknown> = {}
        const environment: Record<string, string> = {}
        const file: Record<string, unknown> = {}
        for (const key of AgentConfig.keys) {
          const [one, two, three] = values[key]
          if (which[key]?.flag === true) flags[key] = one
          if (which[key]?.variable === true) environment[AgentConfig.variableOf(key)] = two
          if (which[key]?.file === true) file[key] = three
        }
        const { settings } = right({ flags, environment, file: { path: "/etc/s.toml", values: file } })
        for (const { key, source, value } of settings) {
          if (key === "apply") continue
          const { file, flag, variable } = which[key] ?? { file: false, flag: false, variable: false }
          const at = flag ? 0 : variable ? 1 : file ? 2 : 3
          assert.strictEqual(source, [`--${key}`, AgentConfig.variableOf(key), "/etc/s.toml", "default"][at])
          if (at !== 3) {
            const alone = right({ flags: { [key]: values[key][at] } })
            assert.deepStrictEqual(value, alone.settings.find((setting) => setting.key === key)?.value)
          }
        }
      })
    )
  })

  it("reports everything that is wrong at once, each with key, value, source and what would be right", () => {
    const issues = wrong({
      flags: { name: "no spaces", gossip: "nine" },
      environment: { STARLING_LOG_LEVEL: "loud", STARLING_GOSIP: "x", PATH: "/bin" },
      file: { path: "/etc/s.toml", values: { datcenter: "fra", insecure: "perhaps" } }
    })
    assert.deepStrictEqual(issues.map(({ key, source, value }) => [key, value, source]).toSorted(), [
      ["STARLING_GOSIP", "x", "STARLING_GOSIP"],
      ["datcenter", "fra", "/etc/s.toml"],
      ["gossip", "nine", "--gossip"],
      ["insecure", "perhaps", "/etc/s.toml"],
      ["log-level", "loud", "STARLING_LOG_LEVEL"],
      ["name", "no spaces", "--name"]
    ])
    const text = issues.map(AgentConfig.formatIssue).join("\n")
    assert.include(text, "did you mean STARLING_GOSSIP?")
    assert.include(text, "did you mean datacenter?")
    assert.include(text, '--gossip: "nine": expected host:port, like 127.0.0.1:7740')
    assert.include(text, "expected one of trace, debug, info, warn, error, none")
  })

  it("shows what is wrong and nothing else: an empty text, the item of a list, a variable once", () => {
    const text = message({
      flags: { name: "", label: ["a=b", "nope"], join: ["x"] },
      environment: { STARLING_FOO: "1" }
    })
    assert.include(text, '--name: "": expected 1 to 63 letters')
    assert.include(text, '--label: "nope": expected KEY=VALUE, like role=edge')
    assert.include(text, '--join: "x": expected host:port')
    assert.include(text, 'STARLING_FOO: "1": unknown variable')
  })

  it("reads hooks from the file alone, each with a pattern and either a command or a file", () => {
    const apply = [
      { match: "sampling/*", command: ["reload", "-q"] },
      { match: "limits/**", command: ["x"], timeout: "250ms" },
      { match: "motd", file: "/etc/motd" }
    ]
    const { config, settings } = right({ file: { path: "f", values: { apply } } })
    assert.deepStrictEqual(config.apply, [
      { _tag: "Command", match: "sampling/*", command: ["reload", "-q"], timeoutMs: 30_000 },
      { _tag: "Command", match: "limits/**", command: ["x"], timeoutMs: 250 },
      { _tag: "File", match: "motd", file: "/etc/motd" }
    ])
    assert.deepStrictEqual(settings.at(-1), { key: "apply", value: config.apply, source: "f" })
    assert.include(message({ environment: { STARLING_APPLY: "x" } }), "unknown variable")
    assert.include(message({ flags: { apply: "x" } }), "unknown flag")
  })

  it("names the hook and the field that is wrong", () => {
    const cases: ReadonlyArray<readonly [unknown, string]> = [
      ["x", 'apply (f): "x": expected tables [[apply]]'],
      [[3], '[[apply]][0] (f): "3": expected a table'],
      [
        [
          { match: "a", file: "x" },
          { match: "A b", file: "x" }
        ],
        '[[apply]][1].match (f): "A b": expected a key pattern'
      ],
      [[{ file: "x" }], "[[apply]][0].match (f): expected a key pattern"],
      [[{ match: "a" }], "[[apply]][0] (f): expected either command or file, and neither is given"],
      [[{ match: "a", file: "x", command: ["y"] }], "expected either command or file, and both are given"],
      [[{ match: "a", command: "y" }], '[[apply]][0].command (f): "y": expected a list of texts'],
      [[{ match: "a", command: [] }], '[[apply]][0].command (f): "[]": expected a list of texts'],
      [[{ match: "a", file: "" }], '[[apply]][0].file (f): "": expected the path'],
      [[{ match: "a", command: ["y"], timeout: "2d" }], '[[apply]][0].timeout (f): "2d": expected a duration'],
      [[{ match: "a", command: ["y"], timeout: "0s" }], '[[apply]][0].timeout (f): "0s": expected a duration'],
      [[{ match: "a", file: "y", timeout: "1s" }], '[[apply]][0].timeout (f): "1s": only a command takes time'],
      [[{ match: "a", file: "y", comand: 1 }], '[[apply]][0].comand (f): "1": unknown key'],
      [Array.from({ length: 65 }, () => ({ match: "a", file: "y" })), "at most 64"]
    ]
    for (const [apply, said] of cases) assert.include(message({ file: { path: "f", values: { apply } } }), said)
  })

  it("refuses every address that is not loopback, and says what would be open to whom", () => {
    for (const key of ["gossip", "api", "otlp"] as const) {
      for (const address of ["10.0.0.7:9", "node.example:9", "[2001:db8::1]:9", "128.0.0.1:9"]) {
        const text = message({ flags: { [key]: address } })
        assert.include(text, `${address} is not loopback`)
        assert.include(text, "whoever can reach it could")
        assert.include(text, "--insecure")
        assert.strictEqual(message({ flags: { [key]: address, insecure: true } }), "")
      }
      for (const address of ["127.0.0.1:9", "127.9.8.7:9", "localhost:9", "[::1]:9"]) {
        assert.strictEqual(message({ flags: { [key]: address } }), "")
      }
    }
  })

  it("wants to be told what peers dial when it listens on every interface", () => {
    for (const gossip of ["0.0.0.0:7740", "[::]:7740"]) {
      assert.include(message({ flags: { gossip, insecure: true } }), "--advertise HOST:PORT")
      assert.strictEqual(message({ flags: { gossip, insecure: true, advertise: "10.0.0.7:7740" } }), "")
      assert.include(message({ flags: { gossip, insecure: true, advertise: gossip } }), "cannot dial a wildcard")
    }
  })

  it("reads host:port with IPv6 in brackets and ports up to 65535", () => {
    assert.strictEqual(right({ flags: { gossip: "[::1]:0" } }).config.gossip, "[::1]:0")
    assert.include(message({ flags: { gossip: "::1:7740" } }), "brackets")
    assert.include(message({ flags: { gossip: "127.0.0.1:65536" } }), "beyond 65535")
    assert.include(message({ flags: { gossip: "127.0.0.1" } }), "expected host:port")
    assert.include(message({ flags: { join: "127.0.0.1:0" } }), "port 0 cannot be dialled")
  })

  it("does not give one port to two listeners, except any free one", () => {
    assert.include(message({ flags: { api: "127.0.0.1:9", otlp: "127.0.0.1:9" } }), "taken by --api")
    assert.strictEqual(message({ flags: { gossip: "127.0.0.1:0", api: "127.0.0.1:0", otlp: "127.0.0.1:0" } }), "")
  })

  it("reads labels from pairs, from one text and from a table alike, within limits", () => {
    const labels = { role: "edge", zone: "z1" }
    assert.deepStrictEqual(right({ flags: { label: ["zone=z1", "role=edge"] } }).config.labels, labels)
    assert.deepStrictEqual(right({ environment: { STARLING_LABEL: "zone=z1, role=edge" } }).config.labels, labels)
    assert.deepStrictEqual(right({ file: { path: "f", values: { label: labels } } }).config.labels, labels)
    assert.include(message({ flags: { label: ["role"] } }), "expected KEY=VALUE")
    assert.include(message({ flags: { label: ["role=a", "role=b"] } }), "give it once")
    assert.include(message({ flags: { label: [`${"k".repeat(64)}=v`] } }), "63")
    assert.include(message({ flags: { label: [`k=${"v".repeat(257)}`] } }), "256")
    const many = Array.from({ length: 33 }, (_, index) => `k${index}=v`)
    assert.include(message({ flags: { label: many } }), "at most 32")
  })

  it("takes the URL that tells the command line whom to ask as the address to serve at", () => {
    assert.strictEqual(right({ environment: { STARLING_API: "http://127.0.0.1:9" } }).config.api, "127.0.0.1:9")
  })

  it("makes a name of any host name", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 300 }), (hostname) => {
        assert.isAbove(right({ host: { ...host, hostname } }).config.name.length, 0)
      })
    )
  })

  it("never throws, whatever a file brings", () => {
    fc.assert(
      fc.property(
        fc.dictionary(
          fc.oneof(fc.constantFrom<string>(...AgentConfig.keys, "apply"), fc.string()),
          fc.anything({ maxDepth: 2 })
        ),
        (values) => {
          AgentConfig.resolve(sources({ file: { path: "f", values } }))
        }
      )
    )
  })

  it.effect("is read from a TOML file, and a file that is none is named", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* fs.makeTempDirectoryScoped()
      const path = `${folder}/agent.toml`
      const load = AgentConfig.load({ flags: {}, environment: {}, host }, path)
      const failure = Effect.map(Effect.flip(load), (error) => error.message)
      assert.include(yield* failure, "there is no such file")
      yield* fs.writeFileString(path, 'name = "x"\njoin = ["h.example:1"]\n[label]\nrole = "edge"\n')
      const { config } = yield* load
      assert.deepStrictEqual([config.name, config.join, config.labels], ["x", ["h.example:1"], { role: "edge" }])
      yield* fs.writeFileString(path, 'name = "x"\nname = "y"\n')
      assert.include(yield* failure, "line 2")
      assert.include(yield* failure, path)
    }).pipe(Effect.provide(NodeFileSystem.layer))
  )
})
