/**
 * What the segmentation losses share: inputs, parameters, and lines of their formulas. A region is where a class is, in one
 * row; a pixel is a place along `...`.
 */
import { Type } from '@sinclair/typebox'
import { ignoreIndex, input, oneOf, onlyWith } from './define.ts'

/** Logits, or what the parameter `activation` says. */
export const activated = input('rows,classes,...', 'real', {
  outside: 'logits go with activation sigmoid or softmax',
  differentiable: true,
  about: 'Logits, or probabilities with activation none.',
  kindFor: (params) => (params.activation === 'none' ? 'probability' : 'real'),
})

/** Regions that may be soft. */
export const regions = input('rows,...', 'class_or_probability', {
  about: 'The class index of each pixel, or regions of the shape of the predictions: 0 or 1, or soft.',
})

/** Regions that may not. */
export const hardRegions = input('rows,...', 'class_or_binary', {
  about: 'The class index of each pixel, or regions of the shape of the predictions: 1 inside, 0 outside.',
})

export const pixelMask = input('rows,...', 'binary', {
  optional: true,
  perClass: true,
  masks: true,
  about:
    '1 for what counts, 0 for what does not, whatever it holds: one number a pixel, or of the shape of the predictions. A softmax is over the classes that count.',
})

export const activation = (standard: 'sigmoid' | 'softmax') =>
  oneOf(['sigmoid', 'softmax', 'none'], {
    default: standard,
    description: 'What makes probabilities of the predictions.',
  })

export const ignoredClass = Type.Integer({
  ...ignoreIndex,
  description: 'Pixels with this class index count in no sum, whatever the predictions hold there.',
  ...onlyWith('targets', 'class'),
})

/**
 * Which pixels count (`kept`), and there what is `inside` of each region and what is `outside`. What is not kept is in
 * neither; its logit is one that takes no part in a softmax.
 */
export const MASKED_REGIONS = `
    kept = (given(mask) ? mask == 1 : true) and (is_index(targets) ? targets != ignore_index : true)
    true_region = is_index(targets) ? one_hot(targets, classes) : targets
    inside = kept ? true_region : 0
    outside = kept ? 1 - true_region : 0
    x = kept ? predictions : 0
    scores = kept ? predictions : log(0)`

/** What a region adds to the mean's denominator: nothing where none of its pixels is kept. */
export const REGIONS_WITH_PIXELS = 'max(kept ? 1 : 0, ...)'

/** The same of all regions of a row together. */
export const ROWS_WITH_PIXELS = 'max(max(kept ? 1 : 0, ...), classes)'

/**
 * How much of a region is found (`hit`), predicted where it is not (`extra`) and not found (`missed`).
 * All three are sums of terms >= 0. A loss that divides by them keeps the digits that 1 - ratio would lose. All are in
 * units of 2^-60, `smoothed` too: ratios do not change, and a region of denormal probabilities has an inverse.
 */
export const TP_FP_FN = `${MASKED_REGIONS}
    p = activation == sigmoid ? sigmoid(x) : activation == softmax ? softmax(scores, classes) : x
    unit = 1152921504606846976
    hit = unit * sum(weigh(inside, p), ...)
    extra = unit * sum(weigh(outside, p), ...)
    missed = unit * sum(weigh(inside, 1 - p), ...)
    smoothed = unit * smooth`
