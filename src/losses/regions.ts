/**
 * What the segmentation losses share: inputs, parameters, and lines of their formulas. A region consists of the
 * pixels of one class in one row; a pixel is an element along `...`.
 */
import { Type } from '@sinclair/typebox'
import { dependsOnParam, ignoreIndex, input, oneOf } from './define.ts'

/** Logits, or whatever the parameter `activation` specifies. */
export const scoresInput = input('rows,classes,...', 'real', {
  outside: 'logits go with activation sigmoid or softmax',
  differentiable: true,
  about: 'Logits, or probabilities with activation none.',
  kindFor: (params) => (params.activation === 'none' ? 'probability' : 'real'),
})

/** Regions that may be soft. */
export const softMaskInput = input('rows,...', 'class_or_probability', {
  about: 'The class index of each pixel, or regions in the shape of the predictions: 0 or 1, or soft values.',
})

/** Regions that must not be soft. */
export const hardMaskInput = input('rows,...', 'class_or_binary', {
  about: 'The class index of each pixel, or regions in the shape of the predictions: 1 inside, 0 outside.',
})

export const pixelMask = input('rows,...', 'binary', {
  optional: true,
  perClass: true,
  masks: true,
  about:
    '1 for elements that count, 0 for elements that do not, whatever they contain: one number per pixel, or in the shape of the predictions. A softmax is taken over the classes that count.',
})

export const activation = (standard: 'sigmoid' | 'softmax') =>
  oneOf(['sigmoid', 'softmax', 'none'], {
    default: standard,
    description: 'Turns the predictions into probabilities.',
  })

export const ignoredClass = Type.Integer({
  ...ignoreIndex,
  description: 'Pixels with this class index are ignored, whatever the predictions contain there.',
  ...dependsOnParam('targets', 'class'),
})

/**
 * Which pixels count (`kept`), and for these what is `inside` of each region and what is `outside`. Pixels that are
 * not kept are in neither; their logit takes no part in a softmax.
 */
export const MASKED_REGIONS = `
    kept = (given(mask) ? mask == 1 : true) and (is_index(targets) ? targets != ignore_index : true)
    true_region = is_index(targets) ? one_hot(targets, classes) : targets
    inside = kept ? true_region : 0
    outside = kept ? 1 - true_region : 0
    x = kept ? predictions : 0
    scores = kept ? predictions : log(0)`

/** What a region adds to the denominator of the mean: nothing if none of its pixels is kept. */
export const COUNT_NONEMPTY_REGIONS = 'max(kept ? 1 : 0, ...)'

/** The same for all regions of a row together. */
export const COUNT_NONEMPTY_ROWS = 'max(max(kept ? 1 : 0, ...), classes)'

/**
 * How much of a region is found (`hit`), predicted outside of it (`extra`) and not found (`missed`). All three are
 * sums of terms >= 0. A loss that divides by them keeps the digits that 1 - ratio would lose. All of them, and
 * `smoothed`, are in units of 2^-60: this does not change ratios, and a region of denormal probabilities has an
 * inverse.
 */
export const TP_FP_FN = `${MASKED_REGIONS}
    p = activation == sigmoid ? sigmoid(x) : activation == softmax ? softmax(scores, classes) : x
    unit = 1152921504606846976
    hit = unit * sum(weigh(inside, p), ...)
    extra = unit * sum(weigh(outside, p), ...)
    missed = unit * sum(weigh(inside, 1 - p), ...)
    smoothed = unit * smooth`
