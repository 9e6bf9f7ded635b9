import { app } from '../../scripts/app.js'

// Two old node ids mean another node today. A saved graph is read as it was meant: its sockets tell.
const APART = [
  { type: 'IPAdapterEncoder', only: 'image_1', here: 'IPAdapterEncodeImages' },
  { type: 'IPAdapter', only: 'clip_vision', here: 'IPAdapterLaksjdjf' },
]

app.registerExtension({
  name: 'ipadapternodes.OldGraphs',
  beforeConfigureGraph(graph) {
    const within = (graph.definitions?.subgraphs ?? []).flatMap((one) => one.nodes ?? [])
    for (const node of [...(graph.nodes ?? []), ...within]) tellApart(node)
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
