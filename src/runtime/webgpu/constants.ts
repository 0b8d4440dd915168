/** @file WebGPU's flag values, fixed by its specification: the global objects that hold them do not exist in Node. */

export const bufferUsage = {
  mapRead: 0x1,
  copySource: 0x4,
  copyDestination: 0x8,
  uniform: 0x40,
  storage: 0x80,
} as const;

/** `GPUMapMode.READ`. */
export const mapModeRead = 0x1;

/** Buffers are made a multiple of this, so that an element at the end can be reached by the widest access, a vec4 of words. */
export const bufferGranularity = 16;

export const roundUp = (value: number, multiple: number): number => Math.ceil(value / multiple) * multiple;
export const roundDown = (value: number, multiple: number): number => Math.floor(value / multiple) * multiple;
