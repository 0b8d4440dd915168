/**
 * @file Builds the instruction tree: fresh registers, nested blocks, and two ways to emit. `op` places an instruction where we are.
 * `pure` is for index and address arithmetic: it gives an equal earlier result again, and places a new one as far out as its operands
 * exist, so that nothing which a loop does not change is computed in the loop. But it stays within a loop that contains loops: what is
 * computed outside lives in registers all through them, and they have better use for those.
 */
import type { Location, Operation } from "../../ir/index.ts";
import type { Element } from "./element.ts";
import {
  type Address,
  type Guard,
  type Instruction,
  isRegister,
  type MemoryAccess,
  type Node,
  type Operand,
  type Register,
  type RegisterClass,
  type SharedBuffer,
} from "./instruction.ts";
import type { CompilationLog } from "./log.ts";
import type { TargetInfo } from "./target.ts";

/** An open block. */
export interface Scope {
  readonly nodes: Node[];
  readonly depth: number;
  /** Depth of the outermost block in which `pure` places what it is asked for here. */
  readonly outermost: number;
  readonly memo: Map<string, Register>;
  /** The source line that was named last. */
  line?: string;
}

export interface RegisterFamily {
  readonly class: RegisterClass;
  count: number;
}

const prefixes: Readonly<Record<RegisterClass, string>> = {
  pred: "p",
  b16: "h",
  b32: "r",
  b64: "rd",
  f32: "f",
  f64: "fd",
};

export interface EmitOptions {
  readonly guard?: Guard | undefined;
  readonly access?: MemoryAccess | undefined;
  readonly source?: MemoryAccess | undefined;
}

export class Emitter {
  readonly target: TargetInfo;
  readonly numWarps: number;
  /** Declared registers by prefix: `%acc_` with count 8 stands for %acc_0 ... %acc_7. */
  readonly families = new Map<string, RegisterFamily>();
  readonly buffers: SharedBuffer[] = [];
  /** Variables and functions of the module, by name. */
  readonly declarations = new Map<string, string>();
  /** Linear functions of the thread's index (coordinates.ts), with the block that they are in. */
  readonly threadValues = new Map<string, { readonly scope: Scope; readonly elements: readonly Element[] }>();
  /** Whether the kernel computes products of matrices. */
  hasDots = false;
  /** Bytes of local memory for the arguments of printf. */
  localBytes = 0;
  /** The innermost open block, and all of them, outermost first. */
  scope: Scope = { nodes: [], depth: 0, outermost: 0, memo: new Map() };
  readonly #scopes: Scope[] = [this.scope];
  /** What `uniqueName` has given: registers of that name may come later. */
  readonly #names = new Set<string>();
  #registers = 0;
  #labels = 0;
  #location: Location | undefined;
  /** The operation of a block that is lowered now. */
  operation: Operation | undefined;
  /** What is decided, where somebody wants to know. */
  log: CompilationLog | undefined;
  #groups = 0;

  constructor(target: TargetInfo, numWarps: number) {
    this.target = target;
    this.numWarps = numWarps;
  }

  get threads(): number {
    return this.numWarps * this.target.warpSize;
  }

  /**
   * Bytes of shared memory with which a multiprocessor still has room for as many blocks as its registers have, if a thread takes nearly all
   * that it may: those blocks hide each other's waits.
   */
  get comfortableSharedMemory(): number {
    const { registersPerMultiprocessor, sharedMemoryLimit } = this.target;
    const blocks = Math.max(1, Math.floor(registersPerMultiprocessor / (this.threads * 256)));
    return Math.floor(sharedMemoryLimit / blocks);
  }

  get depth(): number {
    return this.scope.depth;
  }

  /** The number of nodes written: a point in time. */
  get nodes(): readonly Node[] {
    return this.#scopes[0]!.nodes;
  }

  isOpen(scope: Scope): boolean {
    return this.#scopes[scope.depth] === scope;
  }

  /** Runs `fill` in a new block and gives its nodes. `loop`: whether it is the body of one of the author's loops, and contains loops. */
  block(fill: () => void, loop?: "innermost" | "outer"): Node[] {
    const parent = this.scope;
    const depth = parent.depth + 1;
    const outermost = loop === "outer" ? depth : loop === "innermost" ? parent.depth : parent.outermost;
    const scope: Scope = { nodes: [], depth, outermost, memo: new Map() };
    this.#scopes.push(scope);
    this.scope = scope;
    try {
      fill();
    } finally {
      this.#scopes.pop();
      this.scope = parent;
    }
    return scope.nodes;
  }

  label(what: string): string {
    return `$${what}_${this.#labels++}`;
  }

  /** A new number for the accesses of one operation (see MemoryAccess). */
  accessGroup(): number {
    return this.#groups++;
  }

  // Registers

  /** A register that nothing assigns yet, named after `name` or its class. */
  register(registerClass: RegisterClass, options: { name?: string; depth?: number; divisor?: number } = {}): Register {
    const { name, depth = this.scope.depth, divisor = 1 } = options;
    return this.#newRegister(registerClass, name === undefined ? prefixes[registerClass] : `${name}_`, depth, divisor);
  }

  #newRegister(registerClass: RegisterClass, prefix: string, depth: number, divisor: number): Register {
    let family = this.families.get(prefix);
    if (!family) {
      family = { class: registerClass, count: 0 };
      this.families.set(prefix, family);
    }
    return {
      kind: "register",
      class: registerClass,
      id: this.#registers++,
      name: `%${prefix}${family.count++}`,
      depth,
      divisor,
    };
  }

  /** The same register as seen from another place or with another known divisor. */
  view(register: Register, changes: { depth?: number; divisor?: number }): Register {
    return { ...register, ...changes, id: this.#registers++ };
  }

  /** A register-name prefix that no other value has, made from an author's name. */
  uniqueName(name: string): string {
    const clean = name.replace(/[^A-Za-z0-9_]/g, "_").replace(/^(?=\d)/, "_");
    let unique = clean;
    // A prefix always ends in "_", so "acc_1_" never meets an element of "acc_".
    for (let i = 2; this.families.has(`${unique}_`) || this.#names.has(unique); i++) unique = `${clean}_${i}`;
    this.#names.add(unique);
    return unique;
  }

  // Instructions

  push(node: Node): void {
    this.scope.nodes.push(node);
  }

  comment(text: string): void {
    this.push({ kind: "comment", text });
  }

  /** Says which source line the following instructions come from. */
  line(location: Location | undefined): void {
    this.#location = location;
  }

  /**
   * Names the line before the first instruction that it makes. Most operations make none here: their work is shared or done further
   * out; and a location of the DSL is read from a stack when first asked, which costs more than the operation.
   */
  #nameLine(): void {
    if (!this.#location) return;
    const { file, line, column } = this.#location;
    this.#location = undefined;
    const key = `${file}:${line}`;
    if (this.scope.line === key) return;
    this.scope.line = key;
    this.push({ kind: "line", file, line, column });
  }

  emit(opcode: string, operands: readonly Operand[], { guard, access, source }: EmitOptions = {}): Instruction {
    this.#nameLine();
    const instruction: Instruction = { kind: "instruction", opcode, operands, guard, access, source };
    this.scope.nodes.push(instruction);
    return instruction;
  }

  /** Emits here an instruction whose first operand is a new register, which it gives. */
  op(registerClass: RegisterClass, opcode: string, ...sources: Operand[]): Register {
    this.#nameLine();
    const { nodes, depth } = this.scope;
    const result = this.#newRegister(registerClass, prefixes[registerClass], depth, 1);
    nodes.push({ kind: "instruction", opcode, operands: [result, ...sources], removable: true });
    return result;
  }

  /** As `op` for a function of its sources alone: reused where there is an equal one, placed as far out as its sources allow. */
  pure(registerClass: RegisterClass, opcode: string, sources: readonly Operand[], divisor = 1): Register {
    let depth = this.scope.outermost;
    let key = opcode;
    for (let i = 0; i < sources.length; i++) {
      const source = sources[i]!;
      if (typeof source === "number") key += `,${source}`;
      else {
        depth = Math.max(depth, depthOf(source));
        key += keyOf(source);
      }
    }
    const scope = this.#scopes[depth]!;
    let result = scope.memo.get(key);
    if (!result) {
      result = this.#newRegister(registerClass, prefixes[registerClass], depth, divisor);
      scope.nodes.push({ kind: "instruction", opcode, operands: [result, ...sources], removable: true });
      scope.memo.set(key, result);
    }
    return result;
  }

  /**
   * Computes anew what this block has computed so far and `isKept` does not hold for, when it is next asked for.
   */
  forget(isKept: (element: Element) => boolean): void {
    const { memo } = this.scope;
    for (const [key, register] of memo) if (!isKept(register)) memo.delete(key);
    for (const [key, { scope, elements }] of this.threadValues)
      if (scope === this.scope && !elements.every(isKept)) this.threadValues.delete(key);
  }

  /** Functions of the thread's index alone: made once for each key, where `pure` places them. */
  ofThread(key: string, make: () => readonly Element[]): readonly Element[] {
    const known = this.threadValues.get(key);
    if (known && this.isOpen(known.scope)) return known.elements;
    const elements = make();
    this.threadValues.set(key, { scope: this.#scopes[this.scope.outermost]!, elements });
    return elements;
  }

  /** Adds a variable or function declaration to the module, once for each name. */
  declare(name: string, text: string): void {
    this.declarations.set(name, text);
  }

  /** The instruction after which all threads see what all have written. */
  barrier(): Instruction {
    return this.numWarps === 1
      ? { kind: "instruction", opcode: "bar.warp.sync", operands: [-1] }
      : { kind: "instruction", opcode: "bar.sync", operands: [0] };
  }

  // Shared memory

  /** A new piece of shared memory; the allocator gives it a place once its uses are known. */
  sharedBuffer(name: string, bytes: number): SharedBuffer {
    const buffer: SharedBuffer = { name, bytes, offset: -1 };
    this.buffers.push(buffer);
    return buffer;
  }
}

function depthOf(operand: Operand): number {
  if (typeof operand !== "object") return 0;
  switch (operand.kind) {
    case "register":
      return operand.depth;
    case "vector":
      return Math.max(0, ...operand.elements.map(depthOf));
    case "address":
      return isRegister(operand.base) ? operand.base.depth : 0;
    default:
      return 0;
  }
}

/** A text that two operands share exactly when they are equal. */
function keyOf(operand: Operand): string {
  if (typeof operand !== "object") return `,${operand}`;
  switch (operand.kind) {
    case "register":
      return `,%${operand.id}`;
    case "symbol":
      return `,${operand.name}`;
    case "float":
      return `,f${operand.bits}`;
    case "buffer":
      return `,@${operand.buffer.name}`;
    case "vector":
      return `,{${operand.elements.map(keyOf).join("")}}`;
    case "address":
      return `,[${addressKey(operand)}]`;
  }
}

const addressKey = ({ base, offset, buffer }: Address): string =>
  `${isRegister(base) ? `%${base.id}` : base}+${offset}@${buffer?.name ?? ""}`;
