// Pure: what became of old nodes, in a few lines. Does nothing when the page imports it by itself.

import { say, translate } from './words.js'

/** @typedef {import('./words.js').Text} Text */
/** @typedef {{ name: string, new_kinds: string[], stays: boolean, notes: Text[] }} Change of one old node */

const MOST_LINES = 3
const MOST_NAMES = 5

/**
 * The changes as a person would tell them: what became of how many nodes, then what stays and what to know.
 * @param {Change[]} changes @param {(kind: string) => string} nameOf a kind of node
 * @returns {string[]}
 */
export function summaryOf(changes, nameOf) {
  const converted = changes.filter(({ stays }) => !stays)
  const names = listed(converted.flatMap(({ new_kinds }) => new_kinds.map(nameOf)))
  const staying = byNote(changes.filter(({ stays }) => stays))
  const remarks = byNote(converted)
  return [
    ...(names ? [became(converted, names)] : []),
    ...staying.map(([note, nodes]) => (note ? say('<nodes>: not converted, since <note>.', { nodes, note }) : say('<nodes>: not converted.', { nodes }))),
    ...remarks.filter(([note]) => note).map(([note, nodes]) => say('<nodes>: <note>.', { nodes, note })),
  ]
}

/** @param {Change[]} converted @param {string} names of the new nodes */
function became(converted, names) {
  if (converted.length === 1) return say('<node> is now <names>.', { node: converted[0].name, names })
  return say('<count> old nodes are now <names>.', { count: converted.length, names })
}

/** Each note with the nodes that have it. @param {Change[]} changes @returns {[string, string][]} */
function byNote(changes) {
  /** @type {Map<string, string[]>} */
  const nodes = new Map()
  for (const { name, notes } of changes) {
    for (const note of notes.length ? notes.map(translate) : ['']) nodes.set(note, [...(nodes.get(note) ?? []), name])
  }
  return [...nodes].map(([note, names]) => [note, listed(names)])
}

/** Names with how often each occurs, the most frequent first, and how many more there are. @param {string[]} names */
export function listed(names) {
  /** @type {Map<string, number>} */
  const counts = new Map()
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1)
  const sorted = [...counts].sort(([, a], [, b]) => b - a)
  const shown = sorted.slice(0, MOST_NAMES).map(([name, count]) => (count > 1 ? `${count} \u00d7 ${name}` : name))
  const more = sorted.slice(MOST_NAMES).reduce((sum, [, count]) => sum + count, 0)
  return [...shown, ...(more ? [say('<count> more', { count: more })] : [])].join(', ')
}

/** The first lines, and how many are left out. @param {string[]} lines */
export function shortened(lines) {
  const more = lines.length - MOST_LINES
  if (more <= 1) return lines
  return [...lines.slice(0, MOST_LINES), say("<count> more lines are in the browser's console (F12).", { count: more })]
}

/** @typedef {{ id: number | string, left: number, top: number, right: number, bottom: number }} Box of a node, with its title */

const GAP = 20 // pixels that a node keeps from the one above, unless it was nearer before

/**
 * How far down each node goes so that those that grew cover none which was below them. New nodes go with the one that
 * they are folded up above.
 * @param {Box[]} before @param {Box[]} after
 * @returns {Map<number | string, number>} by id
 */
export function shiftsDown(before, after) {
  const old = new Map(before.map((box) => [box.id, box]))
  const kept = after.filter(({ id }) => old.has(id)).sort((a, b) => old.get(a.id).top - old.get(b.id).top)
  const owners = new Map(after.filter(({ id }) => !old.has(id)).map((box) => [box, ownerOf(box, kept)]))
  /** @type {Map<number | string, number>} */
  const shifts = new Map()
  for (const [place, box] of kept.entries()) {
    const folded = [...owners].filter(([, owner]) => owner === box)
    const top = Math.min(box.top, ...folded.map(([added]) => added.top))
    const needed = kept.slice(0, place).map((above) => {
      const distance = old.get(box.id).top - old.get(above.id).bottom // less than 0 where they covered each other before
      const isBelow = old.get(box.id).top > old.get(above.id).top && above.left < box.right && box.left < above.right
      return isBelow ? above.bottom + shifts.get(above.id) + Math.min(GAP, distance) - top : 0
    })
    shifts.set(box.id, Math.max(0, ...needed))
  }
  for (const [added, owner] of owners) shifts.set(added.id, owner ? shifts.get(owner.id) : 0)
  return shifts
}

/** The nearest node below a new one, at the same place from left to right. @param {Box} added @param {Box[]} kept */
function ownerOf(added, kept) {
  const below = kept.filter(({ left, top }) => left === added.left && top > added.top)
  return below.sort((a, b) => a.top - b.top)[0]
}
