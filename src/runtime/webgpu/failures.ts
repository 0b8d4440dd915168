/**
 * @file Errors that WebGPU reports later. Error scopes are opened around what one launch does; what they catch is kept, with the
 * kernel's name, until the next `read()` or `synchronize()` throws it. Nothing is swallowed and nothing waits.
 */
import { DeviceError } from "../../support/errors.ts";

const scopes: readonly GPUErrorFilter[] = ["validation", "out-of-memory", "internal"];

export class Failures {
  readonly #device: GPUDevice;
  readonly #open = new Set<Promise<void>>();
  #started = 0;
  #found: { readonly order: number; readonly error: Error }[] = [];
  #lost: DeviceError | undefined;

  constructor(device: GPUDevice) {
    this.#device = device;
    void device.lost.then(({ message }) => {
      this.#lost ??= new DeviceError(
        "DEVICE_LOST",
        `the WebGPU device was lost (${message || "no reason given"}): make a new one with createDevice`,
      );
    });
  }

  /** Makes every later use an error. */
  dispose(): void {
    this.#lost ??= new DeviceError("DEVICE_DISPOSED", "the device was used after it was disposed of");
  }

  /** Set once the device is lost or disposed of. */
  get lost(): DeviceError | undefined {
    return this.#lost;
  }

  /**
   * Runs `action`, which enqueues; what WebGPU finds wrong with it is kept as an error that begins with `what`.
   * @param explain Asked when there is something wrong, for a better error than WebGPU's own.
   */
  watch<T>(what: string, action: () => T, explain?: (result: T) => Promise<Error | undefined>): T {
    let result: T | undefined;
    for (const scope of scopes) this.#device.pushErrorScope(scope);
    try {
      result = action();
      return result;
    } finally {
      for (const scope of [...scopes].reverse()) {
        const popped = this.#device.popErrorScope().catch(() => null); // The device is lost, which is reported on its own.
        const better = result !== undefined && explain !== undefined ? explain.bind(undefined, result) : undefined;
        this.check(describe(what, scope, popped, better));
      }
    }
  }

  /** Keeps what a check that runs meanwhile will find. */
  check(outcome: Promise<Error | undefined>): void {
    const order = this.#started++;
    const tracked = outcome
      .catch((error: unknown) => error as Error)
      .then((error) => {
        this.#open.delete(tracked);
        if (error !== undefined) this.#found.push({ order, error });
      });
    this.#open.add(tracked);
  }

  /** Waits for every check and throws the earliest failure since the last call; the others go with it as its cause. */
  async settle(): Promise<void> {
    while (this.#open.size > 0) await Promise.all(this.#open);
    const [first, ...rest] = this.#found.sort((a, b) => a.order - b.order).map(({ error }) => error);
    this.#found = [];
    if (first !== undefined) {
      if (rest.length > 0 && first.cause === undefined)
        first.cause = rest.length === 1 ? rest[0] : new AggregateError(rest);
      throw first;
    }
    if (this.#lost !== undefined) throw this.#lost;
  }
}

async function describe(
  what: string,
  scope: GPUErrorFilter,
  popped: Promise<GPUError | null>,
  explain: (() => Promise<Error | undefined>) | undefined,
): Promise<Error | undefined> {
  const error = await popped;
  if (error === null) return undefined;
  return (await explain?.()) ?? new DeviceError(codes[scope], `${what}: ${explanations[scope]}: ${error.message}`);
}

const codes: Readonly<Record<GPUErrorFilter, string>> = {
  validation: "WEBGPU_VALIDATION",
  "out-of-memory": "OUT_OF_MEMORY",
  internal: "WEBGPU_INTERNAL",
};

const explanations: Readonly<Record<GPUErrorFilter, string>> = {
  validation: "WebGPU refused it",
  "out-of-memory": "the device is out of memory",
  internal: "the driver failed",
};
