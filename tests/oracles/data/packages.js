// Prints name, version, resolved and whether a project asks for it, for everything
// that is neither a project nor a link.
const [, , arborist, path] = process.argv
new (require(arborist))({ path }).loadVirtual().then(tree => {
  const found = [...tree.inventory.values()].filter(n => !n.isTop && !n.isLink)
  const asked = n => [...n.edgesIn].some(edge => edge.from.isTop)
  console.log(JSON.stringify(found.map(
    n => [n.packageName, n.version || null, n.resolved || null, asked(n)]
  )))
})
