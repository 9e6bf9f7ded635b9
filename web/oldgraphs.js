import { app } from '../../scripts/app.js'
import { api } from '../../scripts/api.js'

import { recordChange, TITLE_HEIGHT } from './editor.js'
import { everyNode } from './graph_logic.js'
import { shiftsDown, shortened, summaryOf } from './oldgraphs_logic.js'
import { loadWords, say, translate } from './words.js'

// Graphs with old nodes: opened as they were meant, and turned into new nodes on request.

const OURS = 'ipadapter'
const OLD = 'ipadapter/old graphs'
const LIFE = 20000 // milliseconds of a message
const FRAMES = 4 // within which Nodes 2.0 has measured what was loaded
const MARGIN = 10 // below the nodes in a group
// ids of old nodes that another pack may have here, and that can mean a node of ours
const SHARED = ['IPAdapter', 'IPAdapterApply', 'IPAdapterEncoder', 'PrepImageForClipVision']

app.registerExtension({
  name: 'ipadapternodes.OldGraphs',
  setup: () => loadWords(app, api),
  async beforeConfigureGraph(graph) {
    const graphs = [graph, ...list(graph.definitions?.subgraphs)]
    if (!graphs.some((saved) => list(saved?.nodes).some(concerns))) return
    const { nodes, report } = await ask('opened', { workflow: graph }).catch(() => ({}))
    if (!nodes) return // the server is gone: as it was saved
    graphs.forEach((saved, index) =>
      list(saved?.nodes).forEach((node, place) => isObject(node) && Object.assign(node, nodes[index][place]))
    )
    if (report.length) toast('info', report.map(translate), LIFE)
  },
  getNodeMenuItems(node) {
    if (!isOld(node)) return []
    return [{ content: say('Convert to new IPAdapter nodes'), callback: () => convert([node.id]) }]
  },
  getCanvasMenuItems() {
    if (!everyNode(app.graph).some(isOld)) return []
    return [{ content: say('Convert all old IPAdapter nodes'), callback: () => convert(null) }]
  },
})

/** @param {any} entries @returns {any[]} none where a malformed graph has no list */
function list(entries) {
  return Array.isArray(entries) ? entries : []
}

/** @param {any} entry */
function isObject(entry) {
  return typeof entry === 'object' && entry !== null
}

/** @param {any} node as it was saved */
function concerns(node) {
  if (!isObject(node)) return false
  const category = LiteGraph.registered_node_types[node.type]?.nodeData?.category ?? ''
  return category.split('/')[0] === OURS || SHARED.includes(node.type)
}

/** @param {any} node */
function isOld(node) {
  return node.constructor.nodeData?.category === OLD && node.constructor.nodeData?.deprecated
}

/** @param {(number|string)[] | null} only the ids of the nodes to convert; null: all */
async function convert(only) {
  const { workflow, report, changes, error } = await ask('upgrade', { workflow: app.graph.serialize(), only })
  if (error) return toast('error', [translate(error)])
  await load(workflow)
  const remaining = everyNode(app.graph).filter(isOld).length
  const hint = say('Old IPAdapter nodes that remain: <count>. To convert them too, right-click the canvas.', { count: remaining })
  const lines = summaryOf(changes, nameOf)
  console.info(['IPAdapter', ...report.map(translate)].join('\n'))
  toast('info', only && remaining ? [hint, ...lines] : lines, LIFE)
}

/** What the page calls a kind of node. @param {string} kind */
function nameOf(kind) {
  return LiteGraph.registered_node_types[kind]?.title ?? kind
}

/**
 * Shows a graph as one step to undo. The page takes what it loads for a graph that was opened, and what it measures of
 * nodes afterwards for a change.
 * @param {any} workflow
 */
async function load(workflow) {
  recordChange() // what was done before is a step of its own
  const active = app.extensionManager.workflow?.activeWorkflow
  const tracker = active?.changeTracker ?? {}
  const { activeState, initialState } = tracker
  app.canvas.emitBeforeChange?.()
  try {
    const before = boxes()
    const groups = app.graph.groups.map(membersOf)
    await app.loadGraphData(workflow, true, false, active)
    for (const _ of Array(FRAMES)) await new Promise(requestAnimationFrame)
    makeRoom(shiftsDown(before, boxes()), groups)
  } finally {
    Object.assign(tracker, { activeState, initialState })
    app.canvas.emitAfterChange?.()
  }
}

/** Where the graph's nodes are, with their titles. */
function boxes() {
  return app.graph.nodes.map((/** @type {any} */ { id, pos: [left, top], size: [width, height], flags }) => {
    const bottom = top + (flags?.collapsed ? 0 : height)
    return { id, left, top: top - TITLE_HEIGHT, right: left + width, bottom }
  })
}

/** The ids of the nodes in a group. @param {any} group @returns {(number | string)[]} */
function membersOf(group) {
  const [[left, top], [width, height]] = [group.pos, group.size]
  const inside = boxes().filter((box) => box.left >= left && box.left < left + width && box.top >= top && box.top < top + height)
  return inside.map(({ id }) => id)
}

/** Moves nodes down, and groups with those in them. @param {Map<number | string, number>} shifts @param {(number | string)[][]} groups by their members */
function makeRoom(shifts, groups) {
  for (const node of app.graph.nodes) node.pos = [node.pos[0], node.pos[1] + (shifts.get(node.id) ?? 0)]
  const bottoms = new Map(boxes().map(({ id, bottom }) => [id, bottom]))
  for (const [place, members] of groups.entries()) {
    const group = app.graph.groups[place]
    if (!group || !members.length) continue
    group.pos = [group.pos[0], group.pos[1] + Math.min(...members.map((id) => shifts.get(id) ?? 0))]
    const lowest = Math.max(...members.map((id) => bottoms.get(id) ?? 0))
    group.size = [group.size[0], Math.max(group.size[1], lowest + MARGIN - group.pos[1])]
  }
}

/** @param {string} route @param {object} body */
async function ask(route, body) {
  const answer = await api.fetchApi(`/ipadapternodes/${route}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  })
  return answer.json()
}

/**
 * @param {'info' | 'error'} severity @param {string[]} lines
 * @param {number} [life] milliseconds; else until it is closed
 */
function toast(severity, lines, life) {
  app.extensionManager.toast.add({ severity, summary: 'IPAdapter', detail: shortened(lines).join('\n'), life })
}
