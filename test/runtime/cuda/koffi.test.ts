/** The driver's C signatures through koffi itself: a small library in C stands in for libcuda, where there is a C compiler. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { kernel, tl } from "../../../src/dsl/index.ts";
import { CudaDevice } from "../../../src/runtime/cuda/device.ts";
import { DriverGpu } from "../../../src/runtime/cuda/driver-gpu.ts";
import { loadCudaLibrary } from "../../../src/runtime/cuda/library.ts";

/** The prototypes of cuda.h, on memory of the host. A launch doubles the first element of what its first parameter points at. */
const source = `
#include <stdlib.h>
#include <string.h>
typedef int CUresult; typedef int CUdevice; typedef unsigned long long CUdeviceptr;
typedef struct context *CUcontext; typedef struct module *CUmodule; typedef struct function *CUfunction;
typedef struct stream *CUstream; typedef struct event *CUevent;
CUresult cuInit(unsigned int flags) { return 0; }
CUresult cuDriverGetVersion(int *version) { *version = 12040; return 0; }
CUresult cuGetErrorName(CUresult error, const char **name) { *name = "CUDA_ERROR_FAKE"; return 0; }
CUresult cuGetErrorString(CUresult error, const char **text) { *text = "a fake error"; return 0; }
CUresult cuDeviceGetCount(int *count) { *count = 1; return 0; }
CUresult cuDeviceGet(CUdevice *device, int ordinal) { *device = ordinal; return 0; }
CUresult cuDeviceGetName(char *name, int length, CUdevice device) { strncpy(name, "GPU of C", length); return 0; }
CUresult cuDeviceGetAttribute(int *value, int attribute, CUdevice device) {
  *value = attribute == 75 ? 9 : attribute == 76 ? 0 : 232448; return 0; }
CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device) { *context = (CUcontext)0x7fff12345678; return 0; }
CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) { return 0; }
CUresult cuCtxSetCurrent(CUcontext context) { return context == (CUcontext)0x7fff12345678 ? 0 : 201; }
CUresult cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned int count, int *options, void **values) {
  if (count != 4 || options[2] != 5 || options[3] != 6) return 1;
  if (!strstr((const char *)image, "double_first")) {
    strncpy(values[2], "line 1: no such kernel", (size_t)values[3]); return 218; }
  *module = (CUmodule)0x11; return 0; }
CUresult cuModuleUnload(CUmodule module) { return module == (CUmodule)0x11 ? 0 : 1; }
CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name) {
  *function = (CUfunction)0x22; return strcmp(name, "double_first") ? 500 : 0; }
CUresult cuFuncSetAttribute(CUfunction function, int attribute, int value) { return 0; }
CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t bytes) { *address = (CUdeviceptr)malloc(bytes); return 0; }
CUresult cuMemFree_v2(CUdeviceptr address) { free((void *)address); return 0; }
CUresult cuMemsetD8Async(CUdeviceptr address, unsigned char value, size_t bytes, CUstream stream) {
  memset((void *)address, value, bytes); return 0; }
CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, CUstream stream) {
  memcpy((void *)to, from, bytes); return 0; }
CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, CUstream stream) {
  memcpy(to, (void *)from, bytes); return 0; }
CUresult cuStreamCreate(CUstream *stream, unsigned int flags) { *stream = (CUstream)0x33; return flags == 1 ? 0 : 1; }
CUresult cuStreamQuery(CUstream stream) { return stream == (CUstream)0x33 ? 0 : 1; }
CUresult cuStreamSynchronize(CUstream stream) { return 0; }
CUresult cuStreamDestroy_v2(CUstream stream) { return 0; }
CUresult cuEventCreate(CUevent *event, unsigned int flags) { static long next = 1; *event = (CUevent)next++; return 0; }
CUresult cuEventRecord(CUevent event, CUstream stream) { return 0; }
CUresult cuEventElapsedTime(float *milliseconds, CUevent start, CUevent end) {
  *milliseconds = 0.25f * (float)((long)end - (long)start); return 0; }
CUresult cuEventDestroy_v2(CUevent event) { return 0; }
CUresult cuLaunchKernel(CUfunction function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX,
  unsigned blockY, unsigned blockZ, unsigned sharedBytes, CUstream stream, void **parameters, void **extra) {
  if (function != (CUfunction)0x22 || stream != (CUstream)0x33 || parameters || gridX != 2 || gridY != 1 || gridZ != 1
    || blockX % 32 || blockY != 1 || blockZ != 1 || extra[0] != (void *)1 || extra[2] != (void *)2 || extra[4]) return 1;
  struct { float *x; int size; long stride; } *packed = extra[1];
  if (*(size_t *)extra[3] != 24 || packed->size != 40 || packed->stride != 1) return 701;
  packed->x[0] *= 2; return 0; }
`;

const doubleFirst = (name: string) =>
  kernel({
    name,
    constants: { BLOCK: 32 },
    params: { x: tl.tensor("f32", 1) },
    grid: (p, { BLOCK }) => [tl.cdiv(p.x.shape(0), BLOCK)],
    body(p, { BLOCK }) {
      const start = tl.programId(0).mul(BLOCK);
      p.x.store([start], p.x.load([start], [BLOCK]).mul(2));
    },
  });

const noCompiler = spawnSync("cc", ["--version"]).status === 0 ? undefined : "no C compiler (cc) on the PATH";
const folder = mkdtempSync(join(tmpdir(), "tilewright-"));
afterAll(() => rmSync(folder, { recursive: true }));

describe.skipIf(noCompiler)(`through koffi${noCompiler ? ` (skipped: ${noCompiler})` : ""}`, () => {
  it("calls every function with what its prototype takes", async () => {
    const [text, built] = [join(folder, "cuda.c"), join(folder, "libcuda.so.1")];
    writeFileSync(text, source);
    expect(spawnSync("cc", ["-shared", "-fPIC", "-o", built, text], { encoding: "utf8" })).toMatchObject({ status: 0 });
    const library = await loadCudaLibrary(built);
    if ("reason" in library) throw new Error(library.reason);
    const device = new CudaDevice(new DriverGpu(library.value));
    expect([device.name, device.computeCapability]).toEqual(["GPU of C", [9, 0]]);
    const x = device.tensor(
      Float32Array.from({ length: 40 }, (_, i) => i + 1),
      { shape: [40], dtype: "f32" },
    );
    const timings = await device.profile(() => device.launch(doubleFirst("double_first"), { x }));
    expect(timings).toEqual([{ kernel: "double_first", milliseconds: 0.25 }]);
    expect([...(await x.read())].slice(0, 3)).toEqual([2, 2, 3]);
    expect(() => device.launch(doubleFirst("other"), { x })).toThrow(
      expect.objectContaining({
        code: "PTX_REFUSED",
        message: expect.stringContaining("CUDA_ERROR_FAKE: a fake error)\nline 1: no such kernel"),
      }),
    );
    x.dispose();
    device.dispose();
  });

  it("says which library is missing", async () => {
    const missing = await loadCudaLibrary(join(folder, "none.so"));
    expect(missing).toMatchObject({ reason: expect.stringMatching(/^no CUDA driver: .*none\.so/) });
  });
});
