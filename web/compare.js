import { api } from '../../scripts/api.js'
import { app } from '../../scripts/app.js'

import { COMPARE, earlierGrid } from './compare_logic.js'
import { everyNode } from './graph_logic.js'

const MOST_RUNS = 100 // of the history, the latest ones

// The host says again what a node showed when nothing had to be computed, but not what the nodes in its place did:
// after the page is loaded anew, a comparison would stay empty.
app.registerExtension({
  name: 'ipadapternodes.Compare',
  setup() {
    api.addEventListener('execution_cached', ({ detail }) => void showEarlier(detail.nodes.map(String)))
  },
})

/** @param {string[]} cached ids of nodes */
async function showEarlier(cached) {
  const empty = cached.filter((id) => !app.nodeOutputs[id]?.images)
  const nodes = everyNode(app.graph.rootGraph ?? app.graph)
  if (!empty.length || !nodes.some(({ comfyClass }) => comfyClass === COMPARE)) return
  const { output: prompt } = await app.graphToPrompt()
  const grids = empty.filter((id) => prompt[id]?.class_type === COMPARE)
  if (!grids.length) return
  const reply = await api.fetchApi(`/history?max_items=${MOST_RUNS}`)
  const runs = Object.values(await reply.json())
  for (const id of grids) {
    const detail = earlierGrid(runs, prompt, id)
    if (detail) api.dispatchEvent(new CustomEvent('executed', { detail }))
  }
}
