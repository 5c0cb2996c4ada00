/** What the losses of boxes share: inputs, a parameter, and lines of their formulas. */
import { Type } from '@sinclair/typebox'
import { input } from './define.ts'

export const predictedBoxes = input('rows,4', 'box', {
  differentiable: true,
  about:
    'Predicted boxes, corner to corner. Corners in the wrong order are not rejected, because a network may predict them: the formula is evaluated unchanged, with negative sides.',
})

export const trueBoxes = input('rows,4', 'box', {
  differentiable: true,
  ordered: true,
  about: 'True boxes, one for each prediction.',
})

export const areaEpsilon = Type.Number({
  minimum: 0,
  default: 1e-7,
  description: 'Added to areas in denominators, in squared units of the boxes. 0 is allowed.',
})

/**
 * Boxes: the sides, the areas of the overlap and of the union, and the sides of the smallest enclosing box. Boxes
 * that only touch do not overlap. Two boxes with zero area have IoU 0, even with epsilon 0. If the enclosing box is
 * larger than 1e9, all lengths are measured in units of it, so that squares do not overflow; this does not change
 * ratios.
 */
export const BOX_GEOMETRY = `
    left = pick(predictions, 0, 4)
    top = pick(predictions, 1, 4)
    right = pick(predictions, 2, 4)
    bottom = pick(predictions, 3, 4)
    left_t = pick(targets, 0, 4)
    top_t = pick(targets, 1, 4)
    right_t = pick(targets, 2, 4)
    bottom_t = pick(targets, 3, 4)
    wide = max(right, right_t) - min(left, left_t)
    high = max(bottom, bottom_t) - min(top, top_t)
    unit = max(wide, high) > 1e9 ? stop_gradient(max(wide, high)) : 1
    w = (right - left) / unit
    h = (bottom - top) / unit
    w_t = (right_t - left_t) / unit
    h_t = (bottom_t - top_t) / unit
    w_both = relu(min(right, right_t) - max(left, left_t)) / unit
    h_both = relu(min(bottom, bottom_t) - max(top, top_t)) / unit
    small = epsilon / unit / unit
    overlap = w_both * h_both
    union = w * h + w_t * h_t - overlap
    iou = union == 0 ? 0 : overlap / (union + small)
    w_around = wide / unit
    h_around = high / unit`
