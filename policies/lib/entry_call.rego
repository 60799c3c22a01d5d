# The entry point of the host. `cofferdam policy build` records the results of the tests here, to
# compare the module with the interpreter.
package cofferdam.call

# METADATA
# title: May this plan run
# entrypoint: true
decision := decided
