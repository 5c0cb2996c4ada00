# syntax=docker/dockerfile:1
# Targets: cpu (the default), webgpu (any GPU with a Vulkan driver), cuda (NVIDIA, through TensorFlow):
#   docker build --target webgpu -t lossd:webgpu .
# Every command here also works in a plain folder.

FROM node:24-bookworm-slim AS sources
WORKDIR /app
COPY package.json package-lock.json .npmrc ./

FROM sources AS build
RUN npm ci --ignore-scripts --omit=optional
COPY tsconfig.json tsconfig.build.json ./
COPY setup/build.js setup/
COPY src src
RUN npm run build

# The production dependencies, without and with the GPU packages. The binary of SQLite is an optional package, too, but needed.
FROM sources AS dependencies
RUN npm ci --omit=dev --ignore-scripts \
  && rm -r node_modules/webgpu node_modules/@tensorflow/tfjs-backend-webgpu

FROM sources AS dependencies-with-gpu
RUN npm ci --omit=dev --ignore-scripts

# TensorFlow's library and the addon that calls it. Python, pip and the compiler remain in this stage.
FROM sources AS tensorflow
# Debian drops old versions from its mirrors: a pinned one would not build next month.
# hadolint ignore=DL3008
RUN apt-get update \
  && apt-get install --yes --no-install-recommends ca-certificates g++ python3 python3-pip \
  && rm -rf /var/lib/apt/lists/*
RUN npm ci --ignore-scripts --omit=optional
COPY tsconfig.json ./
COPY src src
COPY setup setup
RUN npm run setup:tensorflow -- --gpu

FROM node:24-bookworm-slim AS runtime
ENV NODE_ENV=production PORT=8080
# Why glibc should keep 32 MB: see ARCHITECTURE.md, "The event loop".
ENV MALLOC_TRIM_THRESHOLD_=33554432 MALLOC_MMAP_THRESHOLD_=33554432
WORKDIR /app
COPY --from=build /app/dist dist
COPY package.json LICENSE ./
# To keep registered losses, run with -v lossd:/app/data.
RUN install --directory --owner 1000 data
EXPOSE 8080
# With TLS, the certificate is not for 127.0.0.1; and a service that asks for a client certificate is alive.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
  CMD ["node", "-e", "const { PORT, LOSSD_TLS_CERT } = process.env; require(LOSSD_TLS_CERT ? 'https' : 'http').get({ host: '127.0.0.1', port: PORT, path: '/health/live', rejectUnauthorized: false }, (r) => process.exit(r.statusCode === 200 ? 0 : 1)).on('error', (e) => process.exit(/CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE/.test(e.code) ? 0 : 1))"]
# Why this flag: see ARCHITECTURE.md, "The event loop".
CMD ["node", "--single-threaded-gc", "dist/server.js"]

# docker run --gpus all --shm-size 1g: the NVIDIA container toolkit brings the driver.
FROM runtime AS cuda
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=dependencies /app/node_modules node_modules
COPY --from=tensorflow /app/.tensorflow .tensorflow
USER 1000

# docker run --gpus all --shm-size 1g (NVIDIA), or --device /dev/dri (Intel, AMD: Mesa's drivers are in the image).
FROM runtime AS webgpu
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=graphics,compute,utility
# Debian drops old versions from its mirrors: a pinned one would not build next month.
# hadolint ignore=DL3008
RUN apt-get update \
  && apt-get install --yes --no-install-recommends libvulkan1 mesa-vulkan-drivers \
  && rm -rf /var/lib/apt/lists/*
COPY --from=dependencies-with-gpu /app/node_modules node_modules
USER 1000

FROM runtime AS cpu
COPY --from=dependencies /app/node_modules node_modules
USER 1000
