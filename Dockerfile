# Checked without a container engine by `node scripts/check-dockerfile.mjs`, which replays it in a folder.

FROM node:24-trixie-slim AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends g++ make python3 \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --include=dev --no-audit --no-fund
COPY tsconfig.json ./
COPY scripts scripts
COPY native native
COPY src src
COPY workers workers
COPY examples examples
# Without the addon the gateway would run on its TypeScript decoder; an image that does so by accident is no good.
RUN npm run build \
 && test -f native/build/Release/switchyard.node \
 && rm -rf native/build/Release/obj.target native/build/Release/.deps
RUN npm prune --omit=dev --no-audit --no-fund
# uWebSockets.js brings a binary for every platform and Node version; this image needs the one for its own.
RUN uws="uws_linux_$(node -p 'process.arch + "_" + process.versions.modules').node" \
 && test -f "node_modules/uWebSockets.js/$uws" \
 && find node_modules/uWebSockets.js -name 'uws_*.node' ! -name "$uws" -delete

FROM node:24-trixie-slim
ENV NODE_ENV=production
WORKDIR /app
COPY package.json LICENSE ./
COPY bin bin
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/native/build/Release native/build/Release
COPY --from=build /app/dist dist
# Mount your own file over this one, or name another with `start --config FILE`.
COPY examples/config/docker.json /etc/switchyard/switchyard.json
USER node
EXPOSE 8000 9090
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 CMD ["node", "bin/healthcheck.js"]
ENTRYPOINT ["node", "bin/switchyard.js"]
CMD ["start", "--config", "/etc/switchyard/switchyard.json"]
