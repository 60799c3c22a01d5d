# The entry point of the host. `cofferdam policy build` records the results of the tests here, to
# compare the module with the interpreter.
package cofferdam.list

# METADATA
# title: Names of the tools that this caller may see, sorted
# entrypoint: true
visible := seen
