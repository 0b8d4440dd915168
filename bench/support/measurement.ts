/** @file The child's side of child.ts. */

export type Answer<Result> = { readonly result: Result } | { readonly error: string } | { readonly progress: string };

export type Measure<Input, Result> = (input: Input, progress: (message: string) => void) => Promise<Result>;

/** Waits for the input, measures, answers and exits: a device that hangs on to threads must not keep the process. */
export function serve<Input, Result>(measure: Measure<Input, Result>): void {
  const send = (answer: Answer<Result>): Promise<void> =>
    new Promise((resolve) => process.send!(answer, undefined, undefined, () => resolve()));
  process.once("message", async ({ input }: { input: Input }) => {
    try {
      await send({ result: await measure(input, (progress) => void send({ progress })) });
    } catch (error) {
      await send({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    }
    process.exit();
  });
}
