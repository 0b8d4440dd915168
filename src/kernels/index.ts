/**
 * @file `tilewright/kernels`: the operators. Each checks its arguments, enqueues kernels that are written in the DSL alone, and returns
 * tensors at once. The kernel definitions are exported too, to be compiled for other runtimes. May import every folder but `models`, `cli`.
 */
export { adamWKernel, adamWMasterKernel } from "./adamw/kernel.ts";
export * from "./adamw/operator.ts";
export * from "./attention/index.ts";
export {
  crossEntropyBackwardInPlaceKernel,
  crossEntropyBackwardKernel,
  crossEntropyKernel,
  crossEntropyTotalKernel,
} from "./cross-entropy/kernel.ts";
export * from "./cross-entropy/operator.ts";
export { addKernel, copyKernel, fillKernel } from "./elementwise/kernel.ts";
export * from "./elementwise/operator.ts";
export { embeddingBackwardKernel, embeddingKernel, embeddingSortKernel } from "./embedding/kernel.ts";
export * from "./embedding/operator.ts";
export { matmulKernel } from "./matmul/kernel.ts";
export * from "./matmul/operator.ts";
export { columnSumKernel } from "./reduction/kernel.ts";
export { type LibraryKernel, libraryKernels } from "./registry.ts";
export { rmsNormBackwardKernel, rmsNormKernel, rmsNormWeightGradientKernel } from "./rms-norm/kernel.ts";
export * from "./rms-norm/operator.ts";
export * from "./rope/index.ts";
export { softmaxKernel } from "./softmax/kernel.ts";
export * from "./softmax/operator.ts";
export { swigluBackwardKernel, swigluKernel } from "./swiglu/kernel.ts";
export * from "./swiglu/operator.ts";
