/** Reads the part of Erlang that the recorder's scenarios are written in (`generator/gold.erl`). */

export type Expr =
  | { readonly _tag: "Atom" | "Var" | "String"; readonly text: string }
  | { readonly _tag: "Int"; readonly value: number }
  | { readonly _tag: "Tuple"; readonly items: ReadonlyArray<Expr> }
  | { readonly _tag: "List"; readonly items: ReadonlyArray<Expr>; readonly tail: Expr | undefined }
  | { readonly _tag: "Map"; readonly entries: ReadonlyArray<readonly [key: Expr, value: Expr]> }
  | { readonly _tag: "Comprehension"; readonly body: Expr; readonly from: ReadonlyArray<readonly [Expr, Expr]> }
  | { readonly _tag: "Fun"; readonly clauses: ReadonlyArray<Clause> }
  | {
      readonly _tag: "Call"
      readonly module: string | undefined
      readonly target: Expr
      readonly args: ReadonlyArray<Expr>
    }
  | { readonly _tag: "Op"; readonly op: string; readonly left: Expr; readonly right: Expr }
  | { readonly _tag: "Catch"; readonly body: Expr }
  | { readonly _tag: "Case"; readonly value: Expr; readonly clauses: ReadonlyArray<Clause> }
  | { readonly _tag: "If"; readonly clauses: ReadonlyArray<Clause> }
  | {
      readonly _tag: "Receive"
      readonly clauses: ReadonlyArray<Clause>
      readonly after: { readonly ms: Expr; readonly body: ReadonlyArray<Expr> } | undefined
    }

export interface Clause {
  readonly patterns: ReadonlyArray<Expr>
  readonly guard: Expr | undefined
  readonly body: ReadonlyArray<Expr>
}

/** By `name/arity`. */
export type Functions = ReadonlyMap<string, ReadonlyArray<Clause>>

interface Token {
  readonly kind: "atom" | "var" | "int" | "string" | "word" | "dot"
  readonly text: string
}

const words = new Set(["fun", "end", "case", "of", "if", "receive", "after", "catch", "when", "rem"])

const lexer =
  /\s+|%[^\n]*|(?<string>"[^"]*")|(?<quoted>'[^']*')|(?<int>\d+)|(?<name>\??[a-z][A-Za-z0-9_@]*|\?[A-Z]+)|(?<variable>[A-Z_][A-Za-z0-9_]*)|(?<dot>\.(?=\s|$))|(?<sign>->|=>|:=|\|\||<-|>=|#\{|[-(){}[\],;:!=|+*])/gy

const tokens = (source: string): ReadonlyArray<Token> => {
  const all: Array<Token> = []
  let at = 0
  for (const match of source.matchAll(lexer)) {
    at = match.index + match[0].length
    const { dot, int, name, quoted, sign, string, variable } = match.groups ?? {}
    if (string !== undefined) all.push({ kind: "string", text: string.slice(1, -1) })
    else if (quoted !== undefined) all.push({ kind: "atom", text: quoted.slice(1, -1) })
    else if (int !== undefined) all.push({ kind: "int", text: int })
    else if (name !== undefined) all.push({ kind: words.has(name) ? "word" : "atom", text: name })
    else if (variable !== undefined) all.push({ kind: "var", text: variable })
    else if (dot !== undefined) all.push({ kind: "dot", text: "." })
    else if (sign !== undefined) all.push({ kind: "word", text: sign })
  }
  if (at < source.length) throw new Error(`no Erlang that is known here: ${source.slice(at, at + 40)}`)
  return all
}

/** Higher binds tighter; `=` and `!` to the right. */
const precedence = new Map([
  ["=", 1],
  ["!", 1],
  [">=", 2],
  ["+", 3],
  ["-", 3],
  ["*", 4],
  ["rem", 4]
])

class Parser {
  private at = 0
  private readonly all: ReadonlyArray<Token>

  constructor(all: ReadonlyArray<Token>) {
    this.all = all
  }

  /** Every function of the module; attributes are passed over. */
  module(): Functions {
    const functions = new Map<string, Array<Clause>>()
    while (this.at < this.all.length) {
      if (this.is("-")) {
        while (this.all[this.at]?.kind !== "dot") this.at++
        this.at++
        continue
      }
      do {
        const name = this.next().text
        const clause = this.clause(this.args())
        const known = functions.get(`${name}/${clause.patterns.length}`)
        if (known === undefined) functions.set(`${name}/${clause.patterns.length}`, [clause])
        else known.push(clause)
      } while (this.take(";"))
      if (this.next().kind !== "dot") throw this.wrong("the end of a function")
    }
    return functions
  }

  private clause(patterns: ReadonlyArray<Expr>): Clause {
    const guard = this.take("when") ? this.expr() : undefined
    this.expect("->")
    return { patterns, guard, body: this.body() }
  }

  private clauses(patterns: () => ReadonlyArray<Expr>): ReadonlyArray<Clause> {
    const all: Array<Clause> = []
    do all.push(this.clause(patterns()))
    while (this.take(";"))
    return all
  }

  private body(): ReadonlyArray<Expr> {
    const all: Array<Expr> = []
    do all.push(this.expr())
    while (this.take(","))
    return all
  }

  private expr(least: number = 1): Expr {
    if (this.take("catch")) return { _tag: "Catch", body: this.expr() }
    let left = this.postfix(this.primary())
    while (true) {
      const op = this.all[this.at]?.kind === "word" ? (this.all[this.at]?.text ?? "") : ""
      const level = precedence.get(op)
      if (level === undefined || level < least) return left
      this.at++
      left = { _tag: "Op", op, left, right: this.expr(level === 1 ? 1 : level + 1) }
    }
  }

  private postfix(target: Expr): Expr {
    let called = target
    let module: string | undefined
    if (this.take(":")) {
      module = target._tag === "Atom" ? target.text : undefined
      called = this.primary()
    }
    while (this.is("(")) {
      called = { _tag: "Call", module, target: called, args: this.args() }
      module = undefined
    }
    return called
  }

  private args(): ReadonlyArray<Expr> {
    this.expect("(")
    return this.until(")")
  }

  private until(close: string): ReadonlyArray<Expr> {
    const all: Array<Expr> = []
    while (!this.take(close)) {
      all.push(this.expr())
      if (!this.is(close)) this.expect(",")
    }
    return all
  }

  private primary(): Expr {
    const token = this.next()
    switch (token.kind) {
      case "atom":
        return { _tag: "Atom", text: token.text }
      case "var":
        return { _tag: "Var", text: token.text }
      case "string":
        return { _tag: "String", text: token.text }
      case "int":
        return { _tag: "Int", value: Number(token.text) }
    }
    switch (token.text) {
      case "{":
        return { _tag: "Tuple", items: this.until("}") }
      case "#{":
        return { _tag: "Map", entries: this.entries() }
      case "[":
        return this.list()
      case "(": {
        const inner = this.expr()
        this.expect(")")
        return inner
      }
      case "fun":
        return this.ended({ _tag: "Fun", clauses: this.clauses(() => this.args()) })
      case "if":
        return this.ended({ _tag: "If", clauses: this.clauses(() => [this.expr()]) })
      case "case": {
        const value = this.expr()
        this.expect("of")
        return this.ended({ _tag: "Case", value, clauses: this.clauses(() => [this.expr()]) })
      }
      case "receive": {
        const clauses = this.clauses(() => [this.expr()])
        if (!this.take("after")) return this.ended({ _tag: "Receive", clauses, after: undefined })
        const ms = this.expr()
        this.expect("->")
        return this.ended({ _tag: "Receive", clauses, after: { ms, body: this.body() } })
      }
    }
    throw this.wrong("an expression")
  }

  private entries(): ReadonlyArray<readonly [Expr, Expr]> {
    const all: Array<readonly [Expr, Expr]> = []
    while (!this.take("}")) {
      const key = this.primary()
      if (!this.take("=>")) this.expect(":=")
      all.push([key, this.expr()])
      if (!this.is("}")) this.expect(",")
    }
    return all
  }

  private list(): Expr {
    if (this.take("]")) return { _tag: "List", items: [], tail: undefined }
    const first = this.expr()
    if (this.take("||")) {
      const from: Array<readonly [Expr, Expr]> = []
      do {
        const pattern = this.expr()
        // A second part without an arrow is a filter.
        from.push(this.take("<-") ? [pattern, this.expr()] : [{ _tag: "Atom", text: "true" }, pattern])
      } while (this.take(","))
      this.expect("]")
      return { _tag: "Comprehension", body: first, from }
    }
    const items = [first]
    while (this.take(",")) items.push(this.expr())
    const tail = this.take("|") ? this.expr() : undefined
    this.expect("]")
    return { _tag: "List", items, tail }
  }

  private ended(expr: Expr): Expr {
    this.expect("end")
    return expr
  }

  private next(): Token {
    const token = this.all[this.at++]
    if (token === undefined) throw this.wrong("more")
    return token
  }

  private is(text: string): boolean {
    const token = this.all[this.at]
    return token?.kind === "word" && token.text === text
  }

  private take(text: string): boolean {
    if (!this.is(text)) return false
    this.at++
    return true
  }

  private expect(text: string): void {
    if (!this.take(text)) throw this.wrong(text)
  }

  private wrong(wanted: string): Error {
    const near = this.all.slice(Math.max(0, this.at - 8), this.at + 3).map(({ text }) => text)
    return new Error(`expected ${wanted} near: ${near.join(" ")}`)
  }
}

export const parseModule = (source: string): Functions => new Parser(tokens(source)).module()
