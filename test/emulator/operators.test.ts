/** The kernels as PTX in the package's own emulator, with the block sizes that ship for CUDA and every check on. */
import { describeOperators } from "../kernels/operators-conformance.ts";
import { PtxEmulatorDevice } from "../kernels/ptx-device.ts";
import { runEmulated } from "./run.ts";

const device = new PtxEmulatorDevice(runEmulated);
describeOperators("PTX for sm_80 in the package's emulator", () => device);
