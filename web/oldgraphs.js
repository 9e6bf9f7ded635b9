import { app } from '../../scripts/app.js'
import { api } from '../../scripts/api.js'

// Graphs with old nodes: read as they were meant, and turned into new nodes on request.

// Two old node ids mean another node today; the sockets of a saved graph tell.
const APART = [
  { type: 'IPAdapterEncoder', only: 'image_1', here: 'IPAdapterEncodeImages' },
  { type: 'IPAdapter', only: 'clip_vision', here: 'IPAdapterLaksjdjf' },
]
const OLD = 'ipadapter/old graphs'

app.registerExtension({
  name: 'ipadapternodes.OldGraphs',
  beforeConfigureGraph(graph) {
    const within = (graph.definitions?.subgraphs ?? []).flatMap((one) => one.nodes ?? [])
    for (const node of [...(graph.nodes ?? []), ...within]) tellApart(node)
  },
  getNodeMenuItems(node) {
    if (!isOld(node)) return []
    return [{ content: 'Convert to new IPAdapter nodes', callback: () => convert([node.id]) }]
  },
  getCanvasMenuItems() {
    if (!app.graph.nodes.some(isOld)) return []
    return [{ content: 'Convert all old IPAdapter nodes', callback: () => convert(null) }]
  },
})

/** @param {any} node as it was saved */
function tellApart(node) {
  const names = (node.inputs ?? []).map((input) => input.name)
  const other = APART.find((one) => one.type === node.type && names.includes(one.only))
  if (!other) return
  node.type = other.here
  if (node.properties?.['Node name for S&R']) node.properties['Node name for S&R'] = other.here
}

/** @param {any} node */
function isOld(node) {
  return node.constructor.nodeData?.category === OLD && node.constructor.nodeData?.deprecated
}

/** @param {(number|string)[] | null} only the ids of the nodes to convert; null: all */
async function convert(only) {
  const answer = await api.fetchApi('/ipadapternodes/upgrade', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ workflow: app.graph.serialize(), only }),
  })
  const { workflow, report, error } = await answer.json()
  if (error) return toast('error', [error])
  await app.loadGraphData(workflow, true, false, app.extensionManager.workflow?.activeWorkflow)
  toast('info', report)
}

/** @param {'info' | 'error'} severity @param {string[]} lines */
function toast(severity, lines) {
  app.extensionManager.toast.add({ severity, summary: 'IPAdapter', detail: lines.join('\n') })
}
