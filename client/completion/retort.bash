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

_retort()
{
	local current command="" option i
	local -a words
	local common="--connect --json --timeout --quiet --verbose --help --version"

	# The word at the cursor as typed: colons and equal signs do not end it.
	current=${COMP_LINE:0:COMP_POINT}
	current=${current##*[[:space:]]}
	if [[ $current == --*=* ]]; then
		option=${current%%=*}
		current=${current#*=}
	else
		read -r -a words <<< "${COMP_LINE:0:COMP_POINT-${#current}}"
		option=${words[${#words[@]} - 1]}
	fi
	for i in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
		case $i in
		ask | ping | bench)
			command=$i
			break
			;;
		esac
	done

	COMPREPLY=()
	case $option in
	-c | --connect)
		_retort_addresses "$current"
		return
		;;
	-f | --framing)
		mapfile -t COMPREPLY < <(compgen -W "length line raw" -- "$current")
		return
		;;
	-t | --transform)
		_retort_transforms "$current"
		return
		;;
	--timeout | -n | --count | -i | --interval | -s | --size | -C | --clients | -P | \
		--in-flight | -d | --duration | --warmup)
		return
		;;
	esac

	case $command in
	ask)
		common+=" --framing --null --whole"
		;;
	ping)
		common+=" --count --interval --size --framing"
		;;
	bench)
		common+=" --clients --in-flight --size --duration --warmup --verify --transform --framing"
		;;
	*)
		if [[ $current != -* ]]; then
			mapfile -t COMPREPLY < <(compgen -W "ask ping bench" -- "$current")
			return
		fi
		;;
	esac
	if [[ $current == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$common" -- "$current")
	fi
}

complete -F _retort retort
