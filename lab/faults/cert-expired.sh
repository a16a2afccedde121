# title: a partner's certificate has expired
# proves: nothing on the whitelist renews a certificate, so nothing is done and a person is told
# expects: escalate
folder=/var/lib/partner
rm -rf "$folder"
mkdir -p "$folder"
cd "$folder"
# A certificate with a past of its own: only `openssl ca` takes dates.
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost \
  -keyout key.pem -out request.pem 2>/dev/null
: >index.txt
cat >ca.conf <<'EOF'
[ca]
default_ca = own
[own]
database = index.txt
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = any
x509_extensions = server
[any]
commonName = supplied
[server]
basicConstraints = critical, CA:TRUE
subjectAltName = DNS:localhost
EOF
openssl ca -batch -notext -config ca.conf -selfsign -keyfile key.pem -in request.pem -out certificate.pem \
  -startdate 20200101000000Z -enddate 20210101000000Z 2>/dev/null
unit partner-api.service <<EOF
[Unit]
Description=The partner's interface
[Service]
ExecStart=/usr/bin/openssl s_server -quiet -www -accept 127.0.0.1:8443 -cert $folder/certificate.pem -key $folder/key.pem
StandardOutput=null
StandardError=null
EOF
daemon partner-sync "Synchronisation with the partner" <<'EOF'
#!/usr/bin/python3
import ssl, sys, time, urllib.request

trusted = ssl.create_default_context(cafile="/var/lib/partner/certificate.pem")
while True:
    try:
        urllib.request.urlopen("https://localhost:8443/", context=trusted, timeout=5).read()
    except OSError as error:
        print(f"ERROR: partner synchronisation failed: {error}", file=sys.stderr, flush=True)
    time.sleep(5)
EOF
systemctl start partner-api.service
for _ in $(seq 100); do
  if ss --listening --tcp --numeric --no-header 'sport = 8443' | grep --quiet .; then break; fi
  sleep 0.1
done
systemctl start partner-sync.service
recorded 'certificate has expired'
