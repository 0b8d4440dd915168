/**
 * @file `runtime/inspect`: what became of a kernel, for its author. `inspectKernel` compiles it and reports, as plain data, launch, layouts,
 * shared memory, copies ahead and, where ptxas is installed, registers, occupancy and loops; `renderInspection` writes that as text, and
 * `inspectionFiles` as a page with a picture of each layout. Needs no device. May import what `runtime` may.
 */
export { type InspectOptions, inspectKernel } from "./inspect.ts";
export { type InspectionFile, inspectionFiles } from "./page.ts";
export type * from "./report.ts";
export { renderInspection } from "./text.ts";
