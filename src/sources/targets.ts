/** All targets. test/sources/targets.test.ts checks that every file of targets/ is here. */
import type { Target } from './contract.ts'
import c from './targets/c.ts'
import go from './targets/go.ts'
import java from './targets/java.ts'
import jax from './targets/jax.ts'
import keras from './targets/keras.ts'
import lightgbm from './targets/lightgbm.ts'
import numpy from './targets/numpy.ts'
import rust from './targets/rust.ts'
import sql from './targets/sql.ts'
import tensorflow from './targets/tensorflow.ts'
import tfjs from './targets/tfjs.ts'
import torch from './targets/torch.ts'
import typescript from './targets/typescript.ts'
import xgboost from './targets/xgboost.ts'

export const TARGETS: readonly Target[] = [
  numpy,
  torch,
  jax,
  tensorflow,
  keras,
  tfjs,
  c,
  go,
  rust,
  java,
  typescript,
  sql,
  xgboost,
  lightgbm,
]
