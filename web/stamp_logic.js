// Pure: what a saved node says of its pack and its files. Does nothing when the page imports it by itself.

export const AUTO = 'auto'
export const MISSING = 'missing_encoder' // the widget that names the file to get
export const MISSING_ADAPTER = 'missing_adapter'
const FINDERS = new Set(['ImagePrompt', 'CompareImagePrompts']) // nodes that find their files among the installed ones

/**
 * Entries {name, url, directory, hash, hash_type} for the known files that a node's widgets name.
 * @param {unknown[]} values of the widgets
 * @param {Record<string, any>} files name of a file -> entry without the name
 * @returns {any[]} an entry counts for the frontend only if its name is the widget's value, folders included
 */
export function modelsOf(values, files) {
  const names = new Set(values.filter((value) => typeof value === 'string'))
  const entries = [...names].map((name) => ({ name, entry: lookUp(name, files) }))
  return entries.filter(({ entry }) => entry).map(({ name, entry }) => ({ name, ...entry }))
}

/**
 * The entry of a name as it stands in a list, or of the same file in another folder of another machine.
 * @param {string} value @param {Record<string, any>} files
 */
function lookUp(value, files) {
  const name = value.replaceAll('\\', '/')
  if (Object.hasOwn(files, name)) return files[name]
  const base = name.slice(name.lastIndexOf('/') + 1)
  return Object.hasOwn(files, base) ? files[base] : undefined
}

/**
 * The properties of a saved node with the pack's id and version, and its files.
 * @param {Record<string, any>} properties as they were
 * @param {any} stamps what the server knows
 * @param {unknown[]} values of the widgets
 */
export function stampedProperties(properties, stamps, values) {
  const { models: savedModels, ...unchanged } = properties ?? {}
  const tableModels = modelsOf(values, stamps.files)
  const names = new Set(tableModels.map(({ name }) => name))
  const ownModels = (Array.isArray(savedModels) ? savedModels : []).filter(
    (model) => values.includes(model?.name) && !names.has(model.name),
  )
  const models = [...tableModels, ...ownModels]
  return { ...unchanged, ...stamps.pack, ...(models.length ? { models } : {}) }
}

/**
 * The values of a node's own widgets, with the published file that `auto` stands for.
 * @param {any} node @param {any} stamps @param {string | undefined} adapter the file of the adapter beside it
 */
export function valuesOf(node, stamps, adapter) {
  const values = (node.widgets ?? []).filter(({ name }) => !isMissing(name)).map(({ value }) => value)
  if (FINDERS.has(node.comfyClass)) return [...values, ...savedModels(node).map(({ name }) => name)]
  const encoder = neededEncoder(node, stamps, adapter).name
  return values.includes(AUTO) && encoder ? [...values, encoder] : values
}

/** @param {string} name of a widget */
const isMissing = (name) => name === MISSING || name === MISSING_ADAPTER

/** @param {any} node @returns {any[]} the files that its graph says it needs */
const savedModels = (node) => (Array.isArray(node.properties?.models) ? node.properties.models : [])

/**
 * The files that a node needs and that are not here: widget that names one -> the file, undefined for none.
 * A node that finds its files misses those that its graph names only where there is no adapter at all.
 * @param {any} node @param {any} stamps @param {string | undefined} adapter the file of the adapter beside it
 * @returns {Record<string, string | undefined>}
 */
export function missingFiles(node, stamps, adapter) {
  if (node.comfyClass === 'LoadCLIPVision') return { [MISSING]: missingEncoder(node, stamps, adapter) }
  if (!FINDERS.has(node.comfyClass)) return {}
  const wanted = stamps.has_adapter ? [] : savedModels(node)
  const encoder = wanted.find(({ directory }) => directory === 'clip_vision')
  return {
    [MISSING_ADAPTER]: wanted.find(({ directory }) => directory === 'ipadapter')?.name,
    [MISSING]: stamps.encoders.includes(encoder?.hash) ? undefined : encoder?.name,
  }
}

/**
 * The published encoder that a node on `auto` needs and that is not here, by any name; undefined for none.
 * @param {any} node @param {any} stamps @param {string | undefined} adapter
 * @returns {string | undefined}
 */
export function missingEncoder(node, stamps, adapter) {
  const { name, here: isInstalled } = neededEncoder(node, stamps, adapter)
  return name && !isInstalled && node.widgets?.some(({ value }) => value === AUTO) ? name : undefined
}

/**
 * By the adapter; for one that nobody here knows, what the graph itself says.
 * @param {any} node @param {any} stamps @param {string | undefined} adapter
 * @returns {{ name?: string | null, here?: boolean }}
 */
function neededEncoder(node, stamps, adapter) {
  const encoder = adapter && lookUp(adapter, stamps.auto)
  if (encoder) return encoder
  const saved = node.properties?.models?.find?.((model) => model?.directory === 'clip_vision')
  return saved ? { name: saved.name, here: stamps.encoders.includes(saved.hash) } : {}
}
