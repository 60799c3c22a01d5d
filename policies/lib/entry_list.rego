# The host asks here. While a policy is built, each answer that its tests ask for is written down here too.
package cofferdam.list

# METADATA
# title: Names of the tools that this caller may see, sorted
# entrypoint: true
visible := seen
