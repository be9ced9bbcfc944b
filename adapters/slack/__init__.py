"""Slack: threads as conversations, over Socket Mode or HTTP.

adapter connection settings doctor cli manifest     found by the core, wired, configured, checked
transport                                           the Bolt app, sockets, signed requests
inbound                                             payloads to the core: events, routing, interactions
outbound                                            answers to messages: streams, blocks, status
api                                                 Web API calls, limits, errors, users, workspaces, files
app_home assistant action_ids                       App Home, agent threads, ids of what can be pressed
"""
