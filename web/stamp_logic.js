// Pure: what a saved node says of its pack and its files. Does nothing when the page imports it by itself.

export const AUTO = 'auto'
export const MISSING = 'missing_encoder' // the widget that names the file to get

/**
 * Entries {name, url, directory, hash, hash_type} for the known files that a node's widgets name.
 * @param {unknown[]} values of the widgets
 * @param {Record<string, any>} files name of a file -> entry without the name
 * @returns {any[]} an entry counts for the frontend only if its name is the widget's value, folders included
 */
export function modelsOf(values, files) {
  const found = []
  for (const value of values) {
    if (typeof value !== 'string' || found.some((one) => one.name === value)) continue
    const entry = lookUp(value, files)
    if (entry) found.push({ name: value, ...entry })
  }
  return found
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
export function stamped(properties, stamps, values) {
  const { models: before, ...others } = properties ?? {}
  const known = modelsOf(values, stamps.files)
  const kept = (Array.isArray(before) ? before : []).filter(
    (one) => values.includes(one?.name) && !known.some((other) => other.name === one.name),
  )
  const models = [...known, ...kept]
  return { ...others, ...stamps.pack, ...(models.length ? { models } : {}) }
}

/**
 * The values of a node's own widgets, with the published file that `auto` stands for.
 * @param {any} node @param {any} stamps @param {string | undefined} adapter the file of the adapter beside it
 */
export function valuesOf(node, stamps, adapter) {
  const values = (node.widgets ?? []).filter((one) => one.name !== MISSING).map((one) => one.value)
  const { name } = neededOf(node, stamps, adapter)
  return values.includes(AUTO) && name ? [...values, name] : values
}

/**
 * The published encoder that a node on `auto` needs and that is not here, by any name; undefined for none.
 * @param {any} node @param {any} stamps @param {string | undefined} adapter
 * @returns {string | undefined}
 */
export function missingOf(node, stamps, adapter) {
  const { name, here } = neededOf(node, stamps, adapter)
  return name && !here && node.widgets?.some((one) => one.value === AUTO) ? name : undefined
}

/**
 * By the adapter; for one that nobody here knows, what the graph itself says.
 * @param {any} node @param {any} stamps @param {string | undefined} adapter
 * @returns {{ name?: string | null, here?: boolean }}
 */
function neededOf(node, stamps, adapter) {
  const known = adapter && lookUp(adapter, stamps.auto)
  if (known) return known
  const saved = node.properties?.models?.find?.((one) => one?.directory === 'clip_vision')
  return saved ? { name: saved.name, here: stamps.encoders.includes(saved.hash) } : {}
}
