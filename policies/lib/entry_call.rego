# The host asks here. While a policy is built, each answer that its tests ask for is written down here too.
package cofferdam.call

# METADATA
# title: May this plan run
# entrypoint: true
decision := decided
