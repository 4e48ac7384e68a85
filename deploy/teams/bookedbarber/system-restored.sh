#!/bin/sh
# Are caches invalidated, DNS records reverted and certificates valid?
#
# Exit code: 0 they are, 1 they are not, 2 nobody can tell.
set -u

for name in purge-cache revert-dns; do
    answer=$(curl -fsS --max-time 10 -H "Authorization: Bearer ${DEPLOY_TOKEN:-}" "${DEPLOY_API:?}/actions/$name") || exit 2
    case $answer in
        *'"done": true'* | *'"done":true'*) ;;
        *) echo "$name is not done"; exit 1 ;;
    esac
done

# curl refuses what is expired, of another name or of nobody known (35, 51, 60 and their kin). That a site does not
# answer at all is no matter of certificates: the probes see it.
for site in ${SITES:-}; do
    curl -sS --max-time 10 -o /dev/null "$site"
    case $? in
        35 | 51 | 58 | 60 | 77 | 83 | 91) echo "the certificate of $site is not valid"; exit 1 ;;
    esac
done
