import { api } from '../../scripts/api.js'
import { app } from '../../scripts/app.js'

import { asOneStep, chain, read, TITLE_HEIGHT, widgetOf } from './editor.js'
import { fullNodes, isCurrent } from './image_prompt_logic.js'
import { loadWords, say } from './words.js'

// Image Prompt as the nodes that it stands for: the same files, layers and weights, to change one by one.
const KIND = 'ImagePrompt'
const MOVED = ['model', 'image', 'attn_mask'] // the links that both nodes have
const GAP = 40 // pixels between the new nodes
const plans = new WeakMap() // node -> what it decided in its last run

app.registerExtension({
  name: 'ipadapternodes.ImagePrompt',
  setup: () => loadWords(app, api),
  nodeCreated(node) {
    if (node.comfyClass !== KIND) return
    chain(node, 'onExecuted', (output) => plans.set(node, output?.ipadapter_plan?.[0]))
  },
  getNodeMenuItems(node) {
    if (node.comfyClass !== KIND) return []
    return [{ content: say('Replace with the full nodes'), callback: () => replace(node) }]
  },
})

/** @param {any} node */
function replace(node) {
  const plan = plans.get(node)
  if (!isCurrent(plan, (name) => read(node, name))) {
    const detail = say('Run the graph once first: the node then knows which files and weights it uses.')
    app.extensionManager.toast.add({ severity: 'info', summary: 'Image Prompt', detail, life: 8000 })
    return
  }
  void asOneStep(() => replaceBy(plan, node))
}

/** @param {import('./image_prompt_logic.js').Plan} plan @param {any} node */
function replaceBy(plan, node) {
  const nodes = addNodes(node, plan)
  const [loader, encoder, apply] = [nodes.ipadapter, nodes.clip_vision, nodes.apply]
  connect(loader, 0, apply, 'ipadapter')
  if (encoder) {
    connect(loader, 0, encoder, 'ipadapter')
    connect(encoder, 0, apply, 'clip_vision')
  }
  moveLinks(node, apply)
  node.graph.remove(node)
}

/** @param {any} node */
const rightOf = (node) => node.pos[0] + node.size[0]

/** The new nodes, beside one another from where the old one is. @param {any} old @param {import('./image_prompt_logic.js').Plan} plan */
function addNodes(old, plan) {
  /** @type {Record<string, any>} */
  const nodes = {}
  let [left, top] = old.pos
  for (const { name, type, widgets } of fullNodes(plan)) {
    const node = LiteGraph.createNode(type)
    old.graph.add(node)
    for (const [widgetName, value] of Object.entries(widgets)) widgetOf(node, widgetName).value = value
    if (name === 'apply') [left, top] = [Math.max(...Object.values(nodes).map(rightOf)) + GAP, old.pos[1]]
    node.pos = [left, top]
    top += node.size[1] + TITLE_HEIGHT + GAP
    nodes[name] = node
  }
  makeRoom(old, Object.values(nodes))
  return nodes
}

/** Moves what begins right of the old node by as much as the new ones are wider. @param {any} old @param {any[]} nodes */
function makeRoom(old, nodes) {
  const wider = Math.max(...nodes.map(rightOf)) - rightOf(old)
  const others = [...old.graph.nodes, ...(old.graph.groups ?? [])].filter((item) => !nodes.includes(item))
  for (const item of others) {
    if (item.pos[0] >= rightOf(old)) item.pos = [item.pos[0] + wider, item.pos[1]]
  }
}

/** @param {any} source @param {number} slot @param {any} target @param {string} name of the input */
function connect(source, slot, target, name) {
  source.connect(slot, target, target.inputs.findIndex((input) => input.name === name))
}

/** @param {any} old @param {any} apply */
function moveLinks(old, apply) {
  const linkOf = (/** @type {number} */ id) => old.graph.links.get?.(id) ?? old.graph.links[id]
  for (const input of old.inputs) {
    const link = input.link != null && linkOf(input.link)
    const origin = link && old.graph.getNodeById(link.origin_id)
    if (origin && MOVED.includes(input.name)) connect(origin, link.origin_slot, apply, input.name)
  }
  for (const id of [...(old.outputs[0].links ?? [])]) {
    const link = linkOf(id)
    apply.connect(0, old.graph.getNodeById(link.target_id), link.target_slot)
  }
}
