// Pure: the grid that a comparison showed in an earlier run. Does nothing when the page imports it by itself.

export const COMPARE = 'CompareImagePrompts'

/**
 * What the page was told of a comparison when a run with the same inputs generated its grid.
 * @param {any[]} runs of the server's history, the latest last @param {Record<string, any>} prompt of the graph
 * @param {string} id of the node @returns {any} the detail of an 'executed' event, or undefined
 */
export function earlierGrid(runs, prompt, id) {
  const wanted = withSources(prompt, id)
  for (const run of [...runs].reverse()) {
    const [, promptId, ranPrompt = {}] = run.prompt ?? []
    const shown = Object.keys(run.outputs ?? {}).filter((key) => run.meta?.[key]?.display_node === id)
    const last = shown.at(-1) // before it came what single references look like
    if (!last || withSources(ranPrompt, id) !== wanted) continue
    return { node: last, display_node: id, output: run.outputs[last], prompt_id: promptId }
  }
}

/**
 * A node's inputs and those of the nodes that it depends on, as one text.
 * @param {Record<string, any>} prompt @param {string} id
 */
function withSources(prompt, id) {
  /** @type {Map<string, any>} */
  const sources = new Map()
  const waiting = [id]
  while (waiting.length) {
    const key = String(waiting.pop())
    if (sources.has(key) || !prompt[key]) continue
    const { class_type: kind, inputs } = prompt[key]
    sources.set(key, [kind, Object.entries(inputs).sort()])
    for (const value of Object.values(inputs)) if (Array.isArray(value)) waiting.push(value[0])
  }
  return JSON.stringify([...sources].sort())
}
