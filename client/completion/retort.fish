# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Completion of retort(1) for fish.

set -l commands ask transform chat say tail rooms who topic ping bench status clients kick ban \
    unban mute unmute reload health
set -l none "not __fish_seen_subcommand_from $commands"

function __retort_transforms
    # Behind a comma the next name of the list.
    set -l given (string match -r '^.*,' -- (commandline -ct | string replace -r '^--transform=' ''))
    for name in echo upper lower reverse
        echo $given$name
    end
end

function __retort_instances
    string replace -rf '^.*/retortd@(.*)\.conf$' '$1' -- /etc/retort/retortd@*.conf
end

# The first column of what a command lists, "rooms" or "who", at the server of the command line.
function __retort_list
    set -l words (commandline -opc)
    set -l server
    for i in (seq 2 (count $words))
        switch $words[$i]
            case -c --connect
                test $i -lt (count $words); and set -a server -c $words[(math $i + 1)]
            case '--connect=*'
                set -a server -c (string replace -r '^--connect=' '' -- $words[$i])
            case --instance
                test $i -lt (count $words); and set -a server --instance $words[(math $i + 1)]
            case '--instance=*'
                set -a server $words[$i]
        end
    end
    command retort -q --timeout 1 $server $argv[1] 2>/dev/null | string replace -r '\t.*' ''
end

# Whether the cursor is at the first argument of one of these commands.
function __retort_first_of
    set -l words (commandline -opc)
    set -l i 2
    while test $i -le (count $words)
        switch $words[$i]
            case -c --connect --instance --timeout -n --lines --since --control --client --user \
                    --address --room --duration
                set i (math $i + 1)
            case '-*'
            case '*'
                if set -q command
                    return 1
                end
                contains -- $words[$i] $argv; or return 1
                set -f command $words[$i]
        end
        set i (math $i + 1)
    end
    set -q command
end

complete -c retort -f
complete -c retort -s c -l connect -x -a 'tcp:// udp:// unix:' -d 'Where the server is'
complete -c retort -l instance -x -a '(__retort_instances)' -d 'Which retortd'
complete -c retort -l json -d 'One JSON object a line'
complete -c retort -l timeout -x -d 'For connecting and for each answer'
complete -c retort -s q -l quiet -d 'Say less'
complete -c retort -s v -l verbose -d 'Say more'
complete -c retort -s h -l help -d 'Show help'
complete -c retort -s V -l version -d 'Show the version'

complete -c retort -n $none -a ask -d 'Send messages and print the answers'
complete -c retort -n $none -a transform -d 'Have a chat listener transform text'
complete -c retort -n $none -a chat -d 'Talk in rooms'
complete -c retort -n $none -a say -d 'Say something in a room'
complete -c retort -n $none -a tail -d 'Print what was said in a room'
complete -c retort -n $none -a rooms -d 'List the rooms'
complete -c retort -n $none -a who -d 'List who is there'
complete -c retort -n $none -a topic -d 'Show what a room is about, or say it'
complete -c retort -n $none -a ping -d 'Measure round trips'
complete -c retort -n $none -a bench -d 'Put load on a listener and measure it'
complete -c retort -n $none -a status -d 'Show what the daemon has done and does'
complete -c retort -n $none -a clients -d 'List who is connected'
complete -c retort -n $none -a kick -d 'End the connections of somebody'
complete -c retort -n $none -a ban -d 'Keep somebody out'
complete -c retort -n $none -a unban -d 'Take a ban back'
complete -c retort -n $none -a mute -d 'Let somebody say nothing'
complete -c retort -n $none -a unmute -d 'Take a mute back'
complete -c retort -n $none -a reload -d 'Put a changed configuration in effect'
complete -c retort -n $none -a health -d 'Say whether all is well'

complete -c retort -n '__fish_seen_subcommand_from chat; or __retort_first_of say tail who topic' \
    -a '(__retort_list rooms)' -d Room
complete -c retort -n '__retort_first_of say' -a '@(__retort_list who)' -d Person
complete -c retort -n '__retort_first_of kick ban unban mute unmute' -a '(__retort_list who)' \
    -d Nick

complete -c retort -n '__fish_seen_subcommand_from ask ping bench' -s f -l framing -x \
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
complete -c retort -n '__fish_seen_subcommand_from bench' -l fanout -x \
    -a '(__retort_list rooms)' -d 'One says, and the others hear it'
complete -c retort -n '__fish_seen_subcommand_from bench' -l say -x \
    -a '(__retort_list rooms)' -d 'Each says, and waits for the replies'
complete -c retort -n '__fish_seen_subcommand_from bench' -l rooms -x \
    -d 'Spread the clients over so many'
complete -c retort -n '__fish_seen_subcommand_from bench' -l bare \
    -d 'For a server that repeats what it gets'

complete -c retort -n '__fish_seen_subcommand_from transform' -s t -l transform -x \
    -a '(__retort_transforms)' -d 'What to do'

complete -c retort -n '__fish_seen_subcommand_from chat tail' -s n -l lines -x \
    -d 'So many messages'
complete -c retort -n '__fish_seen_subcommand_from chat' -s b -l bell \
    -d 'Ring when somebody speaks of you'
complete -c retort -n '__fish_seen_subcommand_from chat' -l nick -x -d 'Be called so'
complete -c retort -n '__fish_seen_subcommand_from tail' -l since -x \
    -d 'After a number, or since a time'
complete -c retort -n '__fish_seen_subcommand_from tail' -s f -l follow -d 'Print what is said'

set -l administrative status clients kick ban unban mute unmute reload health
complete -c retort -n "__fish_seen_subcommand_from $administrative" -l control -r -F \
    -d 'The control socket'
complete -c retort -n '__fish_seen_subcommand_from status' -l openmetrics \
    -d 'As metrics for Prometheus'
complete -c retort -n '__fish_seen_subcommand_from kick' -l client -x -d 'By its number'
complete -c retort -n '__fish_seen_subcommand_from kick' -l room -x \
    -a '(__retort_list rooms)' -d 'Take them out of this room only'
complete -c retort -n '__fish_seen_subcommand_from kick ban unban mute unmute' -l user -x \
    -a '(__fish_complete_users)' -d 'A user of this system'
complete -c retort -n '__fish_seen_subcommand_from ban unban mute unmute' -l address -x \
    -d 'Where they connect from'
complete -c retort -n '__fish_seen_subcommand_from ban mute' -l duration -x -d 'For so long'
