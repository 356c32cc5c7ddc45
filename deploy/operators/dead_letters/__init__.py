"""`talklog dead-letters`: what could not be used, and the way back for it.

A letter is a record of the topic `dead_letters`: the original bytes, with headers that say from
where and why. `letter` reads them, `again` decides what may go back and as what, `report` is what
is printed; these are pure. `shelf` is the topic, `command` the command.
"""
