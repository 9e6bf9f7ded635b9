import { api } from '../../scripts/api.js'
import { app } from '../../scripts/app.js'

import { recordChange } from './editor.js'
import { freeInput, picturesOf } from './references_logic.js'
import { loadWords, say } from './words.js'

// IPAdapter References takes pictures that are dropped or pasted on it: each becomes a Load Image on its next input.
const KIND = 'IPAdapterReferences'
const GAP = 30 // pixels between the new nodes
const HEIGHT = 360 // of a loader with its picture, which comes later, and its title
const TYPED_IN = 'input, textarea, [contenteditable]'

app.registerExtension({
  name: 'ipadapternodes.References',
  setup: () => {
    window.addEventListener('paste', paste, true) // before the page makes nodes of its own
    return loadWords(app, api)
  },
  nodeCreated(node) {
    if (node.comfyClass !== KIND) return
    node.onDragOver = (/** @type {DragEvent} */ event) => !!event.dataTransfer?.types.includes('Files')
    node.onDragDrop = async (/** @type {DragEvent} */ event) => {
      const pictures = picturesOf(event.dataTransfer)
      if (pictures.length) await addPictures(node, pictures)
      return pictures.length > 0
    }
  },
})

/** @param {any} event with files of the clipboard, which the selected node takes */
function paste(event) {
  const [node, ...others] = Object.values(app.canvas?.selected_nodes ?? {})
  const pictures = picturesOf(event.clipboardData)
  if (node?.comfyClass !== KIND || others.length || !pictures.length || event.target?.closest?.(TYPED_IN)) return
  event.preventDefault()
  event.stopImmediatePropagation()
  void addPictures(node, pictures)
}

/** @param {any} node @param {File[]} pictures */
async function addPictures(node, pictures) {
  const loaders = []
  let top = node.pos[1]
  for (const picture of pictures) {
    const slot = freeInput(node.inputs)
    if (slot < 0) {
      const detail = say('The node has no free input for <count> more images.', { count: pictures.length - loaders.length })
      app.extensionManager.toast.add({ severity: 'warn', summary: node.title, detail, life: 8000 })
      break
    }
    const loader = LiteGraph.createNode('LoadImage')
    node.graph.add(loader)
    loader.pos = [node.pos[0] - loader.size[0] - GAP, top]
    top += HEIGHT + GAP
    loader.connect(0, node, slot)
    loader.pasteFiles?.([picture])
    loaders.push(loader)
  }
  while (loaders.some(({ isUploading }) => isUploading)) await new Promise((done) => setTimeout(done, 50))
  recordChange()
}
