/** Loss functions with exact gradients: computed by a lossd service, or by its kernels in this process. */
export { Client, type ClientOptions, type KernelStore, VERSION } from './client.ts'
export * from './errors.ts'
export { ABI, Kernel, type Manifest } from './kernel.ts'
export {
  defaultClient,
  type EvaluateOptions,
  type Gradient,
  Loss,
  type LossOptions,
  type Mode,
  type Reduction,
  type Result,
  setDefaultClient,
} from './loss.ts'
export type { Param, Params } from './params.ts'
export { type Tensor, type TensorLike, type Tensors, tensor } from './tensor.ts'
export { Expression, ops, TraceError, traced, where } from './trace.ts'
