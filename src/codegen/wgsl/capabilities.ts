/**
 * @file What the generated code may use: the compile-time description of a WebGPU device. No device is needed to compile; a runtime
 * fills this in from the one that it has.
 */

/** `hardware` is any GPU; the others run on the CPU and want the opposite schedules. */
export type WgslDeviceKind = "hardware" | "lavapipe" | "swiftshader" | "software";

export interface WgslCapabilities {
  readonly kind: WgslDeviceKind;
  /** Optional WebGPU features that the device was created with. */
  readonly features: { readonly shaderF16: boolean; readonly subgroups: boolean };
  /** Smallest and largest subgroup; 4 and 128, the bounds of the standard, where unknown. Ignored without `subgroups`. */
  readonly subgroupMinSize?: number;
  readonly subgroupMaxSize?: number;
  readonly limits: {
    readonly maxComputeInvocationsPerWorkgroup: number;
    /** Bytes. */
    readonly maxComputeWorkgroupStorageSize: number;
    readonly maxStorageBuffersPerShaderStage: number;
  };
}

/** What every conformant WebGPU device can do. */
export const defaultCapabilities: WgslCapabilities = {
  kind: "hardware",
  features: { shaderF16: false, subgroups: false },
  limits: {
    maxComputeInvocationsPerWorkgroup: 256,
    maxComputeWorkgroupStorageSize: 16384,
    maxStorageBuffersPerShaderStage: 8,
  },
};

/** Whether the "GPU" is a CPU: private arrays and uniform loads are cheap there, workgroup memory and long code are not. */
export const isSoftware = ({ kind }: WgslCapabilities): boolean => kind !== "hardware";
