#!/usr/bin/env bash
# The foreign programs that the tests talk to: install them as root, else print the line that does. Packages may be named besides.
set -euo pipefail
declare -A package=(
  [sipp]=sip-tester [baresip]=baresip-core [kamailio]=kamailio [sipsak]=sipsak [svmap]=sipvicious [openssl]=openssl [tshark]=tshark [sox]=sox [ip]=iproute2
  [nft]=nftables [conntrack]=conntrack [linphonec]=linphone-cli [twinkle-console]=twinkle-console [chromium]=chromium
  [dnsmasq]=dnsmasq-base [espeak-ng]=espeak-ng [flite]=flite [text2wave]=festival
)
# Voices, which are no programs.
declare -A voice=(
  [/usr/share/asterisk/sounds/en_US_f_Allison]=asterisk-core-sounds-en-wav [/usr/share/festival/voices/english/kal_diphone]=festvox-kallpc16k
  [/usr/share/festival/voices/english/ked_diphone]=festvox-kdlpc16k [/usr/share/festival/voices/us/cmu_us_slt_arctic_hts]=festvox-us-slt-hts
)
missing=()
for program in "${!package[@]}"; do
  command -v "$program" >/dev/null || missing+=("${package[$program]}")
done
for files in "${!voice[@]}"; do
  [ -d "$files" ] || missing+=("${voice[$files]}")
done
for data in "$@"; do
  dpkg-query -W "$data" >/dev/null 2>&1 || missing+=("$data")
done
# A library that tests load.
[ -n "$(find /usr/lib /usr/local/lib -name libopus.so.0 -print -quit)" ] || missing+=(libopus0)
# A part of kamailio that Debian packs by itself.
compgen -G "/usr/lib/*/kamailio/modules/tls.so" >/dev/null || missing+=(kamailio-tls-modules)
[ ${#missing[@]} -eq 0 ] && exit 0
mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "The tests need peers that are not installed. Run: sudo apt-get install ${missing[*]}" >&2
  exit 1
fi
echo "installing the tests' peers: ${missing[*]}"
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
