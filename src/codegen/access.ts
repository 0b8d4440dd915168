/**
 * @file What a kernel does to each parameter's memory. Every pointer and view comes from exactly one pointer or tensor parameter, its
 * *root*, found by following the SSA graph back through arithmetic, shape operations, loops and branches. From the roots follow
 * the accesses that the launch metadata states, and on targets that bind buffers (WGSL) which binding an address belongs to.
 */
import { type Block, type Kernel, locationToString, type Operation, ops, type Value, walk } from "../ir/index.ts";
import { CompileError } from "../support/errors.ts";

export type Access = "read" | "write" | "readwrite";

/** Whether values of this type hold addresses. */
const isAddress = (value: Value): boolean => value.type.kind !== "tile";

/** The parameters that addresses come from. */
export class PointerRoots {
  readonly #roots = new Map<Value, string>();
  /** For a block parameter that is carried by a loop: its initial and yielded value. */
  readonly #carried = new Map<Value, readonly Value[]>();

  /** Resolves every address of the kernel. Throws `CompileError` `POINTER_ORIGIN` for one that may come from two parameters. */
  constructor(kernel: Kernel) {
    for (const [i, value] of kernel.body.parameters.entries()) this.#roots.set(value, kernel.parameters[i]!.name);
    walk(kernel.body, (operation) => {
      if (operation.opcode !== "loop") return;
      const body = operation.blocks[0]!;
      const yielded = terminator(body).operands;
      for (const [i, parameter] of body.parameters.slice(1).entries())
        this.#carried.set(parameter, [operation.operands[i + 3]!, yielded[i]!]);
    });
  }

  /** The name of the parameter that `address`, a pointer, a tile of pointers or a view, was made from. */
  of(address: Value): string {
    const root = this.#resolve(address, new Set());
    if (root === undefined) throw new Error("an address without an origin: a bug in Tilewright");
    return root;
  }

  /** `visiting` holds the block parameters on the way, so that a loop that hands a pointer round ends. */
  #resolve(address: Value, visiting: Set<Value>): string | undefined {
    const known = this.#roots.get(address);
    if (known !== undefined || visiting.has(address)) return known;
    visiting.add(address);
    let root: string | undefined;
    for (const source of this.#sources(address)) {
      const found = this.#resolve(source, visiting);
      if (root !== undefined && found !== undefined && found !== root)
        throw new CompileError(
          "POINTER_ORIGIN",
          `a pointer may come from "${root}" or from "${found}" (${locationToString(address.definition?.location)}): ` +
            "choose between the loaded values, not between the pointers",
        );
      root ??= found;
    }
    visiting.delete(address);
    // What was found while a cycle was cut may be incomplete for an inner value, but never for the outermost.
    if (root !== undefined && visiting.size === 0) this.#roots.set(address, root);
    return root;
  }

  #sources(address: Value): readonly Value[] {
    const operation = address.definition;
    if (!operation) return this.#carried.get(address) ?? [];
    const at = operation.results.indexOf(address);
    switch (operation.opcode) {
      case "loop":
        return [operation.operands[at + 3]!, terminator(operation.blocks[0]!).operands[at]!];
      case "if":
        return operation.blocks.map((arm) => terminator(arm).operands[at]!);
      default:
        return operation.operands.filter(isAddress);
    }
  }
}

/** What the kernel does to the memory of each of its pointer and tensor parameters; those it never touches are absent. */
export function accessOf(kernel: Kernel, roots = new PointerRoots(kernel)): ReadonlyMap<string, Access> {
  const access = new Map<string, Access>();
  walk(kernel.body, (operation) => {
    const kinds = accessKinds(operation);
    if (kinds.length === 0) return;
    const root = roots.of(operation.operands[0]!);
    for (const kind of kinds) {
      const before = access.get(root);
      access.set(root, before === undefined || before === kind ? kind : "readwrite");
    }
  });
  return access;
}

/** How an operation uses the memory behind its first operand. */
export function accessKinds({ opcode }: Operation): readonly ("read" | "write")[] {
  if (ops[opcode].effect === "read") return ["read"];
  if (ops[opcode].effect !== "write") return [];
  return opcode.startsWith("atomic") ? ["read", "write"] : ["write"];
}

/** The `yield` that ends a block of a loop or branch. */
export function terminator(block: Block): Operation {
  return block.operations.at(-1)!;
}
