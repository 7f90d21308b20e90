# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Completion of retort(1) for bash. Needs nothing but bash itself.

# Completes the last name of a comma-separated list of transforms.
_retort_transforms()
{
	local given="" current=$1
	if [[ $current == *,* ]]; then
		given=${current%,*},
		current=${current##*,}
	fi
	mapfile -t COMPREPLY < <(compgen -P "$given" -W "echo upper lower reverse" -- "$current")
}

_retort_addresses()
{
	# A colon divides words for readline: only what stands behind the last one is replaced.
	local current=$1 prefix="" i
	mapfile -t COMPREPLY < <(compgen -W "tcp:// udp:// unix:" -- "$current")
	if [[ $current == unix:* ]]; then
		mapfile -t COMPREPLY < <(compgen -P unix: -f -- "${current#unix:}")
	fi
	if [[ $current == *:* && $COMP_WORDBREAKS == *:* ]]; then
		prefix=${current%"${current##*:}"}
		for i in "${!COMPREPLY[@]}"; do
			COMPREPLY[i]=${COMPREPLY[i]#"$prefix"}
		done
	fi
	compopt -o nospace
}

_retort_instances()
{
	local file
	for file in /etc/retort/retortd@"$1"*.conf; do
		if [[ -e $file ]]; then
			file=${file##*/retortd@}
			COMPREPLY+=("${file%.conf}")
		fi
	done
}

# Completes the first column of what a command lists: "rooms" or "who". The server is the one of
# the command line, and what it says is taken as it is, never as words of the shell.
_retort_names()
{
	local list=$1 current=$2 prefix=$3 name rest quoted i
	local -a address=()
	for ((i = 1; i < ${#words[@]} - 1; i++)); do
		case ${words[i]} in
		-c | --connect)
			address+=(-c "${words[i + 1]}")
			;;
		--instance)
			address+=(--instance "${words[i + 1]}")
			;;
		esac
	done
	for i in "${words[@]}"; do
		if [[ $i == --connect=* ]]; then
			address+=(-c "${i#*=}")
		elif [[ $i == --instance=* ]]; then
			address+=("$i")
		fi
	done
	while IFS=$'\t' read -r name rest; do
		printf -v quoted %q "$prefix$name"
		if [[ -n $name && $quoted == "$current"* ]]; then
			COMPREPLY+=("$quoted")
		fi
	done < <("${words[0]}" -q --timeout 1 "${address[@]}" "$list" 2>/dev/null)
}

_retort()
{
	local current command="" option="" at=0 takes i
	local -a words
	local common="--connect --instance --json --timeout --quiet --verbose --help --version"
	local commands="ask transform chat say tail rooms who topic ping bench status clients kick"
	commands+=" ban unban mute unmute reload health"

	# The words as typed: colons and equal signs do not end them.
	current=${COMP_LINE:0:COMP_POINT}
	current=${current##*[[:space:]]}
	read -r -a words <<< "${COMP_LINE:0:COMP_POINT-${#current}}"
	if [[ $current == --*=* ]]; then
		option=${current%%=*}
		current=${current#*=}
	elif ((${#words[@]} > 0)); then
		option=${words[${#words[@]} - 1]}
	fi

	# The command, and which of its arguments the cursor is at.
	takes="@(-c|--connect|--instance|--timeout)"
	for ((i = 1; i < ${#words[@]}; i++)); do
		# shellcheck disable=SC2053 # a pattern
		if [[ ${words[i]} == $takes ]]; then
			((i++))
		elif [[ ${words[i]} == -* ]]; then
			continue
		elif [[ -n $command ]]; then
			((at++))
		else
			command=${words[i]}
			case $command in
			ask)
				common+=" --framing --null --whole"
				takes="@(-c|--connect|--instance|--timeout|-f|--framing)"
				;;
			transform)
				common+=" --transform"
				takes="@(-c|--connect|--instance|--timeout|-t|--transform)"
				;;
			chat)
				common+=" --lines --bell --nick"
				takes="@(-c|--connect|--instance|--timeout|-n|--lines|--nick)"
				;;
			tail)
				common+=" --lines --since --follow"
				takes="@(-c|--connect|--instance|--timeout|-n|--lines|--since)"
				;;
			ping)
				common+=" --count --interval --size --framing"
				takes="*"
				;;
			bench)
				common+=" --clients --in-flight --size --duration --warmup --verify"
				common+=" --transform --framing --fanout --say --rooms --bare"
				takes="*"
				;;
			kick)
				common+=" --client --user --room --control"
				takes="@(-c|--connect|--instance|--timeout|--client|--user|--room|--control)"
				;;
			ban | mute)
				common+=" --user --address --duration --control"
				takes="@(-c|--connect|--instance|--timeout|--user|--address|--duration|--control)"
				;;
			unban | unmute)
				common+=" --user --address --control"
				takes="@(-c|--connect|--instance|--timeout|--user|--address|--control)"
				;;
			status)
				common+=" --control --openmetrics"
				takes="@(-c|--connect|--timeout|--control)"
				;;
			clients | reload | health)
				common+=" --control"
				takes="@(-c|--connect|--instance|--timeout|--control)"
				;;
			esac
		fi
	done

	COMPREPLY=()
	case $command:$option in
	*:-c | *:--connect)
		_retort_addresses "$current"
		return
		;;
	ask:-f | ping:-f | bench:-f | *:--framing)
		mapfile -t COMPREPLY < <(compgen -W "length line raw" -- "$current")
		return
		;;
	*:-t | *:--transform)
		_retort_transforms "$current"
		return
		;;
	*:--instance)
		_retort_instances "$current"
		return
		;;
	*:--control)
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
		return
		;;
	*:--room | bench:--fanout | bench:--say)
		_retort_names rooms "$current" ""
		return
		;;
	*:--user)
		mapfile -t COMPREPLY < <(compgen -u -- "$current")
		return
		;;
	*:--timeout | *:--lines | *:--since | *:--nick | *:--client | *:--address | \
		*:--duration | *:--count | *:--interval | *:--size | *:--clients | *:--in-flight | \
		*:--warmup | bench:--rooms | *:-n | *:-i | *:-s | *:-C | *:-P | *:-d)
		return
		;;
	esac

	if [[ $current == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$common" -- "$current")
		return
	fi
	case $command:$at in
	:*)
		mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$current")
		;;
	chat:* | tail:0 | who:0 | topic:0)
		_retort_names rooms "$current" ""
		;;
	say:0)
		_retort_names rooms "$current" ""
		if [[ $current == @* ]]; then
			_retort_names who "$current" @
			# For readline the sign divides words, as in a host's name.
			if [[ $COMP_WORDBREAKS == *@* ]]; then
				COMPREPLY=("${COMPREPLY[@]#@}")
			fi
		fi
		;;
	kick:0 | ban:0 | unban:0 | mute:0 | unmute:0)
		_retort_names who "$current" ""
		;;
	esac
}

complete -F _retort retort
