/** @file What runs inside the page of `page.test.ts`. */
import { parseKernel } from "../../src/ir/index.ts";
import { createDevice, doctor, renderDoctor } from "../../src/runtime/index.ts";
import { scaleRowsText } from "./scale-rows.ts";

export async function run() {
  const device = await createDevice({ backend: "webgpu" });
  const kernel = parseKernel(scaleRowsText);
  const x = device.tensor(
    Float32Array.from({ length: 11 }, (_, i) => i),
    { shape: [1, 11], dtype: "f32" },
  );
  const out = device.empty([1, 11], "f32");
  device.launch(kernel, { x, out, factor: -2 });
  let error = "";
  try {
    device.launch(kernel, { x, out });
  } catch (caught) {
    error = String(caught);
  }
  return {
    backend: device.backend,
    kind: device.adapter?.kind,
    values: [...(await out.read())],
    error,
    doctor: renderDoctor(await doctor()),
  };
}
