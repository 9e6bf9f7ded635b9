// Pure: the full nodes that give what Image Prompt gave in its last run. Does nothing when the page imports it by itself.

/**
 * @typedef {{ name: string, type: string, widgets: Record<string, any> }} FullNode
 * @typedef {{
 *   loader: Record<string, any>, apply: Record<string, any>, needs_encoder: boolean, made_for: Record<string, any>,
 * }} Plan what the node sent with its last run
 */

/** Whether a plan is still that of the node; what comes over a link is what it was. @param {Plan | undefined} plan @param {(name: string) => any} read a widget */
export function isCurrent(plan, read) {
  return !!plan && Object.entries(plan.made_for).every(([name, value]) => [value, undefined].includes(read(name)))
}

/** @param {Plan} plan @returns {FullNode[]} the last one takes the links of the old node */
export function fullNodes(plan) {
  const loader = { name: 'ipadapter', type: 'LoadIPAdapter', widgets: plan.loader }
  const encoder = { name: 'clip_vision', type: 'LoadCLIPVision', widgets: { clip_name: 'auto' } }
  const apply = { name: 'apply', type: 'ApplyIPAdapter', widgets: plan.apply }
  return plan.needs_encoder ? [loader, encoder, apply] : [loader, apply]
}
