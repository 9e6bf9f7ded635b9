import { app } from '../../scripts/app.js'
import { api } from '../../scripts/api.js'

// Graphs with old nodes: read as they were meant, and turned into new nodes on request.

// Some old node ids mean another node today; the sockets and widgets of a saved graph tell.
const APART = [
  { type: 'IPAdapterEncoder', when: has('image_1'), here: 'IPAdapterEncodeImages' },
  {
    type: 'IPAdapterEncoder',
    when: (node) => has('clip_vision')(node) && !has('ipadapter')(node),
    here: 'IPAdapterEncodeImages',
    names: { image: 'image_1' },
  },
  { type: 'IPAdapter', when: has('clip_vision'), here: 'IPAdapterLaksjdjf' },
  { type: 'IPAdapter', when: has('clip_vision_output'), here: 'IPAdapterLaksjdjfSeen' },
  { type: 'IPAdapterApply', when: has('clip_vision_output'), here: 'IPAdapterApplySeen' },
  {
    type: 'PrepImageForClipVision',
    when: (node) => typeof node.widgets_values?.[3] === 'boolean', // add_weight
    here: 'PrepImageWithWeight',
  },
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
    if (!everyNode(app.graph).some(isOld)) return []
    return [{ content: 'Convert all old IPAdapter nodes', callback: () => convert(null) }]
  },
})

/** @param {string} name */
function has(name) {
  return (/** @type {any} */ node) => (node.inputs ?? []).some((input) => input.name === name)
}

/** @param {any} node as it was saved */
function tellApart(node) {
  const other = APART.find((one) => one.type === node.type && one.when(node))
  if (!other || other.when(asRegistered(node))) return
  node.type = other.here
  for (const input of node.inputs ?? []) input.name = other.names?.[input.name] ?? input.name
  if (node.properties?.['Node name for S&R']) node.properties['Node name for S&R'] = other.here
}

/** @param {any} graph -> its nodes and those of the subgraphs in it @returns {any[]} */
function everyNode(graph) {
  return graph.nodes.flatMap((/** @type {any} */ node) => [node, ...(node.subgraph ? everyNode(node.subgraph) : [])])
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

/** @param {any} node -> the sockets of the node that has this id here: another pack's may be the one that was meant */
function asRegistered(node) {
  const { required, optional } = LiteGraph.registered_node_types[node.type]?.nodeData?.input ?? {}
  return { inputs: Object.keys({ ...required, ...optional }).map((name) => ({ name })) }
}
