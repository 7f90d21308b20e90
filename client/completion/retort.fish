# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Completion of retort(1) for fish.

set -l commands ask ping bench
set -l none "not __fish_seen_subcommand_from $commands"

function __retort_transforms
    # Behind a comma the next name of the list.
    set -l given (string match -r '^.*,' -- (commandline -ct | string replace -r '^--transform=' ''))
    for name in echo upper lower reverse
        echo $given$name
    end
end

complete -c retort -f
complete -c retort -s c -l connect -x -a 'tcp:// udp:// unix:' -d 'Where the server is'
complete -c retort -l json -d 'One JSON object a line'
complete -c retort -l timeout -x -d 'For connecting and for each answer'
complete -c retort -s q -l quiet -d 'Say less'
complete -c retort -s v -l verbose -d 'Say more'
complete -c retort -s h -l help -d 'Show help'
complete -c retort -s V -l version -d 'Show the version'

complete -c retort -n $none -a ask -d 'Send messages and print the answers'
complete -c retort -n $none -a ping -d 'Measure round trips'
complete -c retort -n $none -a bench -d 'Put load on a listener and measure it'

complete -c retort -n "__fish_seen_subcommand_from $commands" -s f -l framing -x \
    -a 'length line raw' -d 'Framing of the listener'

complete -c retort -n '__fish_seen_subcommand_from ask' -s 0 -l null -d 'Messages end with NUL'
complete -c retort -n '__fish_seen_subcommand_from ask' -s w -l whole \
    -d 'Standard input is one message'

complete -c retort -n '__fish_seen_subcommand_from ping' -s n -l count -x -d 'Stop after so many'
complete -c retort -n '__fish_seen_subcommand_from ping' -s i -l interval -x \
    -d 'Seconds between messages'
complete -c retort -n '__fish_seen_subcommand_from ping bench' -s s -l size -x \
    -d 'Bytes in a message'

complete -c retort -n '__fish_seen_subcommand_from bench' -s C -l clients -x -d 'Connections'
complete -c retort -n '__fish_seen_subcommand_from bench' -s P -l in-flight -x \
    -d 'Messages on their way for each'
complete -c retort -n '__fish_seen_subcommand_from bench' -s d -l duration -x \
    -d 'How long to measure'
complete -c retort -n '__fish_seen_subcommand_from bench' -l warmup -x -d 'How long to run before'
complete -c retort -n '__fish_seen_subcommand_from bench' -l verify -d 'Compare every answer'
complete -c retort -n '__fish_seen_subcommand_from bench' -s t -l transform -x \
    -a '(__retort_transforms)' -d 'What the listener does'
